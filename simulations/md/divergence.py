"""Telling a simulation that blew up from one that runs, and why OpenMM ended one."""

from __future__ import annotations

import re
from typing import Any

import openmm as mm
from openmm import unit

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.memory import out_of_memory

REMEDY = "set minimize to true, lower timestep_fs, use constraints hbonds, and look for clashing atoms in the structure"

FARTHEST_NM = 1e4
"""Water diffuses so far in some ten milliseconds, which no simulation reaches; an atom that blows up does at once."""


def checked_positions(state: Any) -> Array | None:
    """Coordinates of an OpenMM State in nm, or None if one of them is no number or beyond `FARTHEST_NM`."""
    positions: Array = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    # A comparison with NaN is false. On Reference an atom may be thrown 1e50 nm away with all energies finite.
    return positions if positions.min() > -FARTHEST_NM and positions.max() < FARTHEST_NM else None


def start_diverged(reason: str) -> ToolError:
    """The error of a start from which no step can be taken; there is no good step, shown as -1."""
    return ToolError(
        f"the simulation cannot start: {reason}",
        hint=REMEDY,
        kind="SimulationDiverged",
        details={"step": 0, "last_good_step": -1},
    )


def diverged(step: int, last_good_step: int, reason: str) -> ToolError:
    """The error of a simulation that blew up.

    Args:
        step: Where it was detected.
        last_good_step: The last step at which all coordinates were checked and finite.
        reason: What was seen.
    """
    return ToolError(
        f"the simulation blew up: {reason}, detected at step {step}; the last step known good is {last_good_step}",
        hint=REMEDY,
        kind="SimulationDiverged",
        details={"step": step, "last_good_step": last_good_step},
    )


def start_error(error: mm.OpenMMException, platform: str, n_atoms: int) -> ToolError:
    """What an exception of OpenMM means that came before the first step.

    Args:
        error: The exception.
        platform: Name of the platform.
        n_atoms: Particles of the system.

    Returns:
        ``SimulationDiverged``, ``OutOfMemory`` or ``ContextFailed``.
    """
    if _tells_divergence(error):
        return start_diverged(str(error))
    return out_of_memory(error, platform, n_atoms) or ToolError(
        f"platform {platform} cannot simulate this system of {n_atoms} particles: {error}",
        hint="if it is a GPU, look at it with nvidia-smi or rocm-smi; else report this with the structure",
        kind="ContextFailed",
    )


def step_error(error: mm.OpenMMException, step: int, last_good_step: int, platform: str, n_atoms: int) -> ToolError:
    """What an exception of OpenMM's integrator means: where it was, and what to do.

    Args:
        error: The exception.
        step: By which step it came.
        last_good_step: The last step at which all coordinates were checked and finite.
        platform: Name of the platform.
        n_atoms: Particles of the system.

    Returns:
        ``SimulationDiverged``, ``BoxTooSmall``, ``OutOfMemory`` or ``IntegrationFailed``.
    """
    text = str(error)
    if _tells_divergence(error):
        return diverged(step, last_good_step, text)
    details: dict[str, float | int | str] = {"step": step, "last_good_step": last_good_step}
    if "box size" in text.lower():
        return ToolError(
            f"the periodic box shrank below twice the cutoff by step {step}: {text}",
            hint="raise padding_nm, or start from a structure with a larger, equilibrated box",
            kind="BoxTooSmall",
            details=details,
        )
    return out_of_memory(error, platform, n_atoms) or ToolError(
        f"platform {platform} failed by step {step}: {text}",
        hint="if it is a GPU, check its memory and driver on this node; else run again with platform CPU to compare",
        kind="IntegrationFailed",
        details=details,
    )


def _tells_divergence(error: mm.OpenMMException) -> bool:
    # As words, for a message may also hold names of files and devices.
    return re.search(r"\bnan\b|\binfinite\b", str(error), re.IGNORECASE) is not None

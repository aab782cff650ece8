"""Telling a simulation that blew up from one that runs."""

from __future__ import annotations

from typing import Any, NoReturn

import openmm as mm
from openmm import unit

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.models import MdRequest

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


def raise_step_error(error: mm.OpenMMException, step: int, last_good_step: int, request: MdRequest) -> NoReturn:
    """Turns an exception of OpenMM's integrator into one that says where and what to do.

    Raises:
        ToolError: ``SimulationDiverged``, ``BoxTooSmall`` or ``IntegrationFailed``.
    """
    text = str(error)
    if "nan" in text.lower() or "infinite" in text.lower():
        raise diverged(step, last_good_step, text) from error
    if "box size" in text.lower():
        raise ToolError(
            f"the periodic box shrank below twice the cutoff by step {step}: {text}",
            hint="raise padding_nm, or start from a structure with a larger, equilibrated box",
            kind="BoxTooSmall",
            details={"step": step, "last_good_step": last_good_step},
        ) from error
    raise ToolError(
        f"platform {request.platform} failed by step {step}: {text}",
        hint="if it is a GPU, check its memory and driver on this node; else run again with platform CPU to compare",
        kind="IntegrationFailed",
        details={"step": step, "last_good_step": last_good_step},
    ) from error

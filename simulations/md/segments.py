"""What a run consists of: its stages, then production; each with a context of its own."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import openmm as mm
from openmm import unit

from simulations.md.divergence import start_diverged, start_error
from simulations.md.models import MdRequest
from simulations.md.platforms import PlatformChoice
from simulations.md.restraints import restraint_force
from simulations.md.saved import derived_seed
from simulations.md.start import Start

BAROSTAT_INTERVAL_STEPS = 25
RAMP_LEVELS = 100


@dataclass(frozen=True)
class Segment:
    """Steps that are taken under the same conditions.

    Attributes:
        number: Its place among the segments; production has the last.
        kind: ``heat``, ``equilibrate`` or ``production``.
        steps: How many there are.
        before: Steps of all segments before it.
        ensemble: NVT, NPT or NVE.
        from_temperature_k: Temperature at which it begins.
        temperature_k: Temperature at which it ends.
        restraint: Atoms that are held, or ``none``.
        restraint_kj_mol_nm2: Force constant, or None.
    """

    number: int
    kind: str
    steps: int
    before: int
    ensemble: str
    from_temperature_k: float
    temperature_k: float
    restraint: str
    restraint_kj_mol_nm2: float | None

    def level_end(self, step: int) -> int:
        """The step at which the temperature changes next, or the last one."""
        if self.from_temperature_k == self.temperature_k:
            return self.steps
        length = self._level_steps
        return min((step // length + 1) * length, self.steps)

    def temperature_at(self, step: int) -> float:
        """The thermostat's temperature in K for the step after this one. The last level is at the final one."""
        levels = math.ceil(self.steps / self._level_steps)
        share = min(step // self._level_steps + 1, levels) / levels
        return self.from_temperature_k + (self.temperature_k - self.from_temperature_k) * share

    @property
    def _level_steps(self) -> int:
        return math.ceil(self.steps / RAMP_LEVELS)

    def seed(self, request_seed: int) -> int:
        """Seed of its thermostat and barostat: production's is the request's own, with stages or without."""
        return request_seed if self.kind == "production" else derived_seed(request_seed, 0, self.number)


def segments(request: MdRequest) -> list[Segment]:
    """The stages of a request, and production as the last."""
    found: list[Segment] = []
    before = 0
    for stage in request.stages:
        target = request.temperature_k if stage.temperature_k is None else stage.temperature_k
        begin = target if stage.from_temperature_k is None else stage.from_temperature_k
        found.append(
            Segment(
                len(found),
                stage.kind,
                stage.steps,
                before,
                stage.ensemble,
                begin,
                target,
                stage.restraint,
                stage.restraint_kj_mol_nm2,
            )
        )
        before += stage.steps
    production = Segment(
        len(found),
        "production",
        request.steps,
        before,
        request.ensemble,
        request.temperature_k,
        request.temperature_k,
        request.restraint,
        request.restraint_kj_mol_nm2,
    )
    return [*found, production]


def make_context(request: MdRequest, segment: Segment, start: Start, choice: PlatformChoice, seed: int) -> Any:
    """Creates the context of a segment.

    Args:
        request: The inputs.
        segment: Which part of the run.
        start: Its system.
        choice: The platform.
        seed: Of thermostat and barostat.

    Raises:
        ToolError: ``ContextFailed`` or ``OutOfMemory``, or ``BadStructure`` if there is nothing to restrain.
    """
    system = start.prepared.system
    if segment.ensemble == "NPT" or segment.restraint != "none":
        system = copy.deepcopy(system)  # the cached one is shared
    if segment.ensemble == "NPT":
        barostat = mm.MonteCarloBarostat(
            request.pressure_bar * unit.bar, segment.temperature_k * unit.kelvin, BAROSTAT_INTERVAL_STEPS
        )
        barostat.setRandomNumberSeed(seed)
        system.addForce(barostat)
    if segment.restraint_kj_mol_nm2 is not None:
        system.addForce(restraint_force(start, segment.restraint, segment.restraint_kj_mol_nm2))
    try:
        return choice.context(system, _integrator(request, segment, seed))
    except mm.OpenMMException as error:
        raise start_error(error, choice.name, start.prepared.n_atoms) from error


def _integrator(request: MdRequest, segment: Segment, seed: int) -> Any:
    timestep = request.timestep_fs * unit.femtosecond
    if segment.ensemble == "NVE":
        return mm.VerletIntegrator(timestep)
    integrator = mm.LangevinMiddleIntegrator(
        segment.temperature_at(0) * unit.kelvin, request.friction_per_ps / unit.picosecond, timestep
    )
    integrator.setRandomNumberSeed(seed)
    return integrator


def set_off(context: Any, start: Start, segment: Segment, seed: int) -> None:
    """Gives a context the coordinates of the start, and velocities: the start's own, or new ones.

    Args:
        context: The context of the first segment.
        start: Where the run starts.
        segment: The first segment, for its temperature.
        seed: Of the velocities.

    Raises:
        ToolError: ``ContextFailed`` or ``OutOfMemory``, or ``SimulationDiverged`` if the start has no finite energy.
    """
    try:
        if start.prepared.box is not None:
            context.setPeriodicBoxVectors(*(start.prepared.box * unit.nanometer))
        context.setPositions(start.positions)
        if start.velocities is None:
            context.setVelocitiesToTemperature(segment.from_temperature_k * unit.kelvin, seed)
        else:
            context.setVelocities(start.velocities * unit.nanometer / unit.picosecond)
        energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    except mm.OpenMMException as error:
        raise start_error(error, context.getPlatform().getName(), start.prepared.n_atoms) from error
    if not abs(energy) < float("inf"):
        raise start_diverged(f"the potential energy of its first coordinates is {energy} kJ/mol")

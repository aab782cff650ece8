"""What a checkpoint of ``md`` holds, and how a context goes on from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import openmm as mm
from openmm import unit

from simulations.growing import Extent
from simulations.md.analysis import Array
from simulations.md.keeping import as_bytes, pack, unpack
from simulations.md.models import VERSION, MdRequest
from simulations.md.platforms import PlatformChoice
from simulations.md.structure import Source

INDIFFERENT = {"checkpoint_interval_s", "platform"}
"""Inputs that may differ between the attempts of one trajectory."""


class UnusableError(Exception):
    """A checkpoint that another simulation wrote, or that something is missing to go on from."""


@dataclass(frozen=True)
class Origin:
    """What all checkpoints of one attempt have in common.

    Attributes:
        identity: Names the simulation: inputs, content of the structure, version of the Tool.
        machine: Names what OpenMM's own checkpoint can be loaded by: its version, platform, settings, device.
        start: File of the start of production; see `simulations.md.keeping`. Empty until it is written.
        resumed: How often the simulation went on from a checkpoint.
        exact: Whether the trajectory is so far as if it had never been interrupted.
        build_s: Wall time of building in all attempts, in s.
        minimize_s: Wall time of the minimisation, in s.
        stages_s: Wall time of the stages before production, in s.
        stages: What each stage that is over came to, as `simulations.md.results.StageEnd` has it.
    """

    identity: str
    machine: dict[str, str]
    start: str
    resumed: int
    exact: bool
    build_s: float
    minimize_s: float
    stages_s: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Saved:
    """A state of a run.

    Attributes:
        origin: Where it comes from.
        stage: Number of the stage that it is in, from 0; None in production.
        step: Steps done, of that stage or of production.
        last_frame_step: Step of the last frame; 0 if there is none.
        trajectory: What of the trajectory belongs to it.
        table: What of the state table does.
        averages: For each quantity the state of its running statistics.
        integrate_s: Wall time of the steps done, in s.
        checkpoint: OpenMM's own checkpoint.
        positions: In nm, shape (atoms, 3).
        velocities: In nm/ps, shape (atoms, 3).
        box: Box vectors in nm, shape (3, 3).
    """

    origin: Origin
    stage: int | None
    step: int
    last_frame_step: int
    trajectory: Extent
    table: Extent
    averages: list[list[float]]
    integrate_s: float
    checkpoint: bytes
    positions: Array
    velocities: Array
    box: Array

    def encode(self) -> bytes:
        """Its bytes."""
        arrays = {"positions": self.positions, "velocities": self.velocities, "box": self.box}
        numbers = {
            "origin": asdict(self.origin),
            "stage": self.stage,
            "step": self.step,
            "last_frame_step": self.last_frame_step,
            "trajectory": asdict(self.trajectory),
            "table": asdict(self.table),
            "averages": self.averages,
            "integrate_s": self.integrate_s,
        }
        blobs = {"about": as_bytes(json.dumps(numbers).encode()), "checkpoint": as_bytes(self.checkpoint)}
        return pack({**arrays, **blobs}, compressed=False)

    @classmethod
    def decode(cls, content: bytes) -> Saved:
        """Reads it.

        Raises:
            UnusableError: If another version of the Tool wrote it otherwise.
        """
        try:
            arrays = unpack(content)
            said = json.loads(arrays["about"].tobytes())
            return cls(
                origin=Origin(**said.pop("origin")),
                trajectory=Extent(**said.pop("trajectory")),
                table=Extent(**said.pop("table")),
                checkpoint=arrays["checkpoint"].tobytes(),
                positions=arrays["positions"],
                velocities=arrays["velocities"],
                box=arrays["box"],
                **said,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableError(f"it was written otherwise: {type(error).__name__}: {error}") from error


def identity(request: MdRequest, source: Source, restart_key: str | None) -> str:
    """Hash of all that decides what is simulated.

    Args:
        request: The inputs.
        source: Where the atoms come from; its content counts, not its name.
        restart_key: Names the content of the state that it starts from, if it does.
    """
    inputs = request.model_dump(mode="json", exclude=INDIFFERENT | {"structure", "restart"})
    said = [VERSION, source.key, restart_key, inputs]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def machine(context: Any, choice: PlatformChoice) -> dict[str, str]:
    """What must be the same for OpenMM to load its own checkpoint and to go on exactly."""
    platform = context.getPlatform()
    said = {"openmm": mm.version.full_version, "platform": choice.name}
    for name in platform.getPropertyNames():
        if name not in ("DeviceIndex", "TempDirectory", "CudaCompiler", "CudaHostCompiler", "HipCompiler"):
            said[name] = platform.getPropertyValue(context, name)
    return said


def derived_seed(seed: int, step: int, stage: int | None = None) -> int:
    """A seed for going on at a step, of a stage or of production.

    It is another one than at the start, so that no random numbers are repeated.
    """
    place = f"{step}" if stage is None else f"{stage}/{step}"
    digest = hashlib.sha256(f"{seed}/{place}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 2) + 1


def load_state(context: Any, saved: Saved, request: MdRequest, ensemble: str, *, same_machine: bool) -> str | None:
    """Puts a context where a checkpoint was.

    Args:
        context: Of the same system, with random numbers seeded by `derived_seed`.
        saved: The checkpoint.
        request: The inputs.
        ensemble: That of the stage, or of production.
        same_machine: Whether OpenMM's own checkpoint can be loaded.

    Returns:
        None if it goes on exactly as if it had not been interrupted, else what differs.
    """
    if same_machine:
        try:
            context.loadCheckpoint(saved.checkpoint)
        except mm.OpenMMException as error:
            reason = f"OpenMM did not load its own checkpoint: {error}"
        else:
            if ensemble == "NPT":
                # OpenMM keeps neither in a checkpoint (8.6: step, volumeScale and both counts of its barostat).
                return "the barostat counts its steps, and learns the size of its moves, anew"
            return None
    else:
        reason = "it goes on with another OpenMM, platform or device"
    context.setPeriodicBoxVectors(*(saved.box * unit.nanometer))
    context.setPositions(saved.positions * unit.nanometer)
    context.setVelocities(saved.velocities * unit.nanometer / unit.picosecond)
    context.setTime(saved.step * request.timestep_fs * unit.femtosecond)
    context.setStepCount(saved.step)
    random = "" if ensemble == "NVE" else ", random numbers were not"
    return f"{reason}; coordinates, velocities, box and time were taken over{random}"


def portable_state(context: Any) -> tuple[Array, Array, Array]:
    """Coordinates in nm, velocities in nm/ps and box vectors in nm, in double precision."""
    state = context.getState(positions=True, velocities=True)
    return (
        np.array(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), dtype=np.float64),
        np.array(state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond), dtype=np.float64),
        np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer), dtype=np.float64),
    )

"""Trajectories as they lie on the disk: whether each frame is there, once, whole and in its place."""

from __future__ import annotations

import csv
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
from numpy.typing import NDArray

RADIUS_TOLERANCE_NM = 1e-5
"""Coordinates in a DCD file are float32 in Å."""


class BrokenError(AssertionError):
    """A trajectory is not what its Request asked for."""


@dataclass(frozen=True)
class Trajectory:
    """What a DCD file holds.

    Attributes:
        announced: Frames, as its header says.
        last_step: Step of its last frame, as its header says.
        frames: Coordinates in nm, shape (frames, atoms, 3).
    """

    announced: int
    last_step: int
    frames: NDArray[np.float32]


def read_dcd(path: Path) -> Trajectory:
    """Reads a trajectory without a box.

    Raises:
        BrokenError: If it is no such file, or does not end with a whole frame.
    """
    data = path.read_bytes()
    if data[4:8] != b"CORD":
        raise BrokenError(f"{path} is no DCD trajectory")
    announced, _, _, last_step = struct.unpack_from("<4i", data, 8)
    offset = 0
    for _ in range(2):  # header and title
        offset += 8 + struct.unpack_from("<i", data, offset)[0]
    n_atoms = struct.unpack_from("<i", data, offset + 4)[0]
    body = data[offset + 12 :]
    frame_bytes = 3 * (8 + 4 * n_atoms)
    if len(body) % frame_bytes:
        raise BrokenError(f"{path}: {len(body) % frame_bytes} bytes follow the last whole frame of {n_atoms} atoms")
    words = np.frombuffer(body, dtype="<f4").reshape(-1, 3, n_atoms + 2)
    lengths = words[:, :, (0, -1)].copy().view("<i4")
    if not (lengths == 4 * n_atoms).all():
        raise BrokenError(f"{path}: a frame is not where it should be")
    return Trajectory(announced, last_step, words[:, :, 1:-1].transpose(0, 2, 1) / np.float32(10))


def expected_steps(steps: int, interval_steps: int) -> list[int]:
    """The steps that have a frame: each multiple of the interval, and the last."""
    multiples = list(range(interval_steps, steps + 1, interval_steps))
    return multiples if multiples and multiples[-1] == steps else [*multiples, steps]


def check(outcome: dict[str, Any], run_folder: Path) -> int:
    """Looks whether a run of ``md`` has left exactly the frames that it was asked for, each in its place.

    Args:
        outcome: Its Outcome, as JSON.
        run_folder: The run folder.

    Returns:
        How many frames there are.

    Raises:
        BrokenError: If one is missing, repeated, torn, or not that of its row in the state table.
    """
    name, inputs, result = outcome["id"], outcome["inputs"], outcome["result"]
    trajectory = read_dcd(run_folder / outcome["artifacts"]["trajectory"])
    wanted = expected_steps(inputs["steps"], inputs["report_interval_steps"])
    with (run_folder / outcome["artifacts"]["state_table"]).open() as stream:
        table = list(csv.DictReader(stream))
    steps = [int(row["step"]) for row in table]
    _require(steps == wanted, f"{name}: its table has steps {_brief(steps)}, not {_brief(wanted)}")
    count = len(trajectory.frames)
    _require(count == len(wanted), f"{name}: its trajectory has {count} frames, not {len(wanted)}")
    _require(trajectory.announced == count, f"{name}: its header announces {trajectory.announced} frames of {count}")
    _require(trajectory.last_step == wanted[-1], f"{name}: its header's last step is {trajectory.last_step}")
    _require(result["n_frames"] == count, f"{name}: its result counts {result['n_frames']} frames of {count}")
    _require(result["steps"] == inputs["steps"], f"{name}: its result is of {result['steps']} steps")
    times_ps = [float(row["time_ps"]) for row in table]
    ideal_ps = [step * inputs["timestep_fs"] / 1000 for step in wanted]
    _require(bool(np.allclose(times_ps, ideal_ps, rtol=1e-9)), f"{name}: its times are not equally spaced")
    _check_frames(name, trajectory.frames, table, run_folder / outcome["artifacts"]["topology"])
    energies = [float(row["potential_energy_kj_mol"]) for row in table]
    mean = result["potential_energy_kj_mol"]["mean"]
    _require(math.isclose(mean, float(np.mean(energies)), rel_tol=1e-6, abs_tol=1e-4), f"{name}: its mean energy")
    return count


def _check_frames(name: str, frames: NDArray[np.float32], table: list[dict[str, str]], topology: Path) -> None:
    """Each frame is another than the one before, and has the radius of gyration that the table has for its step."""
    _require(bool(np.isfinite(frames).all()), f"{name}: a coordinate is no number")
    same = [index for index in range(1, len(frames)) if np.array_equal(frames[index], frames[index - 1])]
    _require(not same, f"{name}: frames {same} repeat the one before")
    atoms = mdtraj.load(str(topology)).topology.atoms
    masses = np.array([atom.element.mass for atom in atoms])
    centred = frames - (frames * masses[:, None]).sum(axis=1, keepdims=True) / masses.sum()
    radii = np.sqrt((centred.astype(np.float64) ** 2).sum(axis=2) @ masses / masses.sum())
    told = np.array([float(row["radius_of_gyration_nm"]) for row in table])
    off = np.flatnonzero(np.abs(radii - told) > RADIUS_TOLERANCE_NM)
    _require(not len(off), f"{name}: frames {off.tolist()} are not those of their rows in the table")


def _brief(steps: list[int]) -> str:
    return f"{steps[:3]} … {steps[-3:]} ({len(steps)}, {len(steps) - len(set(steps))} of them twice)"


def _require(holds: bool, text: str) -> None:  # noqa: FBT001, RUF100
    if not holds:
        raise BrokenError(text)

"""The files of a running simulation: trajectory and state table. Both are valid after every frame."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulations.growing import Extent, GrowingFile
from simulations.md.analysis import Array

AKMA_PS = 0.04888821290839617
"""CHARMM's unit of time in ps: sqrt(1 Da Å² / (kcal/mol)), with kcal = 4.184 kJ."""
INT32_MOST = 2**31 - 1


@dataclass(frozen=True)
class Frame:
    """Numbers of one frame, in the units of their names. None where the quantity does not exist."""

    step: int
    time_ps: float
    potential_energy_kj_mol: float
    kinetic_energy_kj_mol: float
    temperature_k: float
    volume_nm3: float | None
    density_g_cm3: float | None
    rmsd_nm: float | None
    radius_of_gyration_nm: float | None
    ns_per_day: float

    @property
    def total_energy_kj_mol(self) -> float:
        """Potential and kinetic energy."""
        return self.potential_energy_kj_mol + self.kinetic_energy_kj_mol


class DcdWriter(GrowingFile):
    """Appends frames to a CHARMM DCD trajectory, little-endian, with the header count kept up to date.

    OpenMM's own writer converts atom by atom in Python, which takes longer than the steps between two frames of a
    large system on a GPU. Layout: CHARMM's ``CORD`` header, then per frame an optional cell and x, y, z in Å as
    float32, each between Fortran record lengths.

    Args:
        path: File to write.
        n_atoms: Atoms per frame.
        interval_steps: Steps between frames.
        timestep_ps: Timestep in ps.
        periodic: Whether frames come with a box.
        extent: What is there to go on from; None for a new file.
        last_step: Step of the last frame that is there.
    """

    HEADER = 8 + 84 + 8 + 84 + 8 + 4
    """Length of the header in bytes."""

    def __init__(
        self,
        path: Path,
        n_atoms: int,
        interval_steps: int,
        timestep_ps: float,
        *,
        periodic: bool,
        extent: Extent | None = None,
        last_step: int = 0,
    ) -> None:
        self._n_atoms = n_atoms
        self._interval = interval_steps
        self._periodic = periodic
        # ICNTRL: frames, first step, interval, last step, 5 zeros, timestep, cell flag, 8 zeros, CHARMM version.
        control = struct.pack(
            "<9if10i", 0, interval_steps, interval_steps, *[0] * 6, timestep_ps / AKMA_PS, periodic, *[0] * 8, 24
        )
        title = struct.pack("<i80s", 1, b"md-director".ljust(80))
        header = b"".join(_record(content) for content in (b"CORD" + control, title, struct.pack("<i", n_atoms)))
        super().__init__(path, extent, header, header_counts=False)
        if extent is not None:
            self._count(last_step)

    def write(self, positions: Array, box: Array | None, step: int) -> None:
        """Appends a frame.

        Args:
            positions: In nm, shape (n_atoms, 3).
            box: Box vectors in nm, shape (3, 3); needed if periodic.
            step: The step it was taken at.

        Raises:
            ValueError: If the shape is not the trajectory's.
        """
        if positions.shape != (self._n_atoms, 3) or (box is not None) != self._periodic:
            raise ValueError(f"frame of shape {positions.shape} does not fit a trajectory of {self._n_atoms} atoms")
        cell = b"" if box is None else _record(struct.pack("<6d", *_cell(box)))
        angstrom = np.ascontiguousarray((positions * 10).T, dtype="<f4")
        self.append(cell + b"".join(_record(axis.tobytes()) for axis in angstrom))
        self._count(step)

    def _count(self, step: int) -> None:
        self._file.seek(8)
        self._file.write(struct.pack("<4i", self.frames, self._interval, self._interval, min(step, INT32_MOST)))
        self._file.seek(0, os.SEEK_END)


class StateTable(GrowingFile):
    """Appends frames to a CSV table with the unit in each column's name; an undefined quantity is an empty field.

    Args:
        path: File to write.
        periodic: Whether there are columns for volume and density.
        extent: What is there to go on from; None for a new file.
    """

    def __init__(self, path: Path, *, periodic: bool, extent: Extent | None = None) -> None:
        self._columns = table_columns(periodic=periodic)
        super().__init__(path, extent, table_header(periodic=periodic), header_counts=False)

    def write(self, frame: Frame) -> None:
        """Appends a row."""
        values = (getattr(frame, name) for name in self._columns)
        row = ",".join(
            "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value) for value in values
        )
        self.append((row + "\n").encode("ascii"))


def table_columns(*, periodic: bool) -> list[str]:
    """Names of a state table's columns."""
    box_columns = {"volume_nm3", "density_g_cm3"}
    return [name for name in Frame.__dataclass_fields__ if periodic or name not in box_columns]


def table_header(*, periodic: bool) -> bytes:
    """A state table's first line."""
    return (",".join(table_columns(periodic=periodic)) + "\n").encode("ascii")


def _record(content: bytes) -> bytes:
    length = struct.pack("<i", len(content))
    return length + content + length


def _cell(box: Array) -> tuple[float, ...]:
    # DCD's order: a, cos gamma, b, cos beta, cos alpha, c; lengths in Å.
    a, b, c = (math.sqrt(float(vector @ vector)) for vector in box)
    alpha, beta, gamma = (
        float(box[1] @ box[2]) / (b * c),
        float(box[0] @ box[2]) / (a * c),
        float(box[0] @ box[1]) / (a * b),
    )
    return 10 * a, gamma, 10 * b, beta, alpha, 10 * c

"""Reading back, piece by piece, the coordinates of some atoms from the trajectory that `DcdWriter` wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.output import DcdWriter

PIECE_BYTES = 4 << 20
"""What the frames of a piece take, at most; one frame at least."""
RECORD = 4
CELL = RECORD + 6 * 8 + RECORD


class Trajectory:
    """Frames of a DCD file that `DcdWriter` wrote.

    Only the part of each frame is read that holds the atoms asked for, so water costs nothing.

    Args:
        handle: File descriptor that can be read. It is that of the writer, so what another attempt has put in the
            file's place meanwhile does no harm.
        n_atoms: Atoms per frame.
        n_frames: How many there are.
        periodic: Whether frames come with a box.
    """

    def __init__(self, handle: int, n_atoms: int, n_frames: int, *, periodic: bool) -> None:
        self.n_frames = n_frames
        self._handle = handle
        self._cell = CELL if periodic else 0
        self._axis = RECORD + 4 * n_atoms + RECORD
        self._frame = self._cell + 3 * self._axis

    def pieces(self, atoms: NDArray[np.int64], every: int = 1) -> Iterator[Array]:
        """Yields coordinates in nm, some frames at a time: shape (frames, atoms, 3).

        Args:
            atoms: Indices of the atoms, at least one.
            every: Take each n-th frame, the first included.

        Raises:
            ToolError: ``DiskFailed``, if the file ends before the last frame.
            OSError: If it cannot be read.
        """
        first, last = int(atoms.min()), int(atoms.max())
        wanted = atoms - first
        span = last - first + 1
        at_once = max(1, PIECE_BYTES // (8 * 3 * span))
        frames = range(0, self.n_frames, every)
        for begin in range(0, len(frames), at_once):
            some = frames[begin : begin + at_once]
            block = np.empty((len(some), 3, span), dtype="<f4")
            for index, frame in enumerate(some):
                self._read(frame, first, block[index])
            yield block[:, :, wanted].transpose(0, 2, 1) / np.float64(10)

    def _read(self, frame: int, first: int, axes: NDArray[Any]) -> None:
        start = DcdWriter.HEADER + frame * self._frame + self._cell + RECORD + 4 * first
        for axis in range(3):
            if os.preadv(self._handle, [axes[axis]], start + axis * self._axis) != axes[axis].nbytes:
                raise ToolError(
                    f"the trajectory was written to its end, and now ends in frame {frame + 1} of {self.n_frames}",
                    hint="find out what else writes to the run folder, or ask those who run its disk",
                    kind="DiskFailed",
                )

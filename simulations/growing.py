"""Files that grow while a simulation runs, and how they are put back to where a checkpoint was."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from simulations.checkpoints import Checkpoint
from simulations.disk import sync_folder
from simulations.workspace import Workspace

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Extent:
    """What of a growing file a checkpoint counts.

    Attributes:
        length: Bytes of the file.
        crc: CRC-32 of them; of what comes after the header, if that is left out of it.
        frames: How many frames or rows there are.
    """

    length: int
    crc: int
    frames: int


class NotAsSavedError(Exception):
    """A growing file is not, or not any more, what a checkpoint says of it."""


def copy_extent(path: Path, extent: Extent, target: Path, header: int = 0) -> None:
    """Copies the part of a file that a checkpoint counts, and checks it.

    Args:
        path: The file, which may have grown since, and may still grow.
        extent: The part.
        target: The copy. It is on disk when this returns.
        header: Length in bytes of a header that is left out of the CRC.

    Raises:
        NotAsSavedError: If the file is shorter, or holds something else.
    """
    crc, left = 0, extent.length - header
    try:
        with path.open("rb") as source, target.open("wb") as copy:
            copy.write(source.read(header))
            while left > 0 and (piece := source.read(min(COPY_BYTES, left))):
                crc = zlib.crc32(piece, crc)
                left -= len(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
    except FileNotFoundError as error:
        raise NotAsSavedError(f"{path.name} is not there") from error
    if left or crc != extent.crc:
        target.unlink()
        raise NotAsSavedError(f"{path.name} {'is too short' if left else 'holds something else'}")


def put_back(
    workspace: Workspace,
    checkpoint: Checkpoint,
    extents: Mapping[str, Extent],
    headers: Mapping[str, int] | None = None,
) -> None:
    """Adopts a checkpoint and cuts files back to what it counts of them: all of them, or nothing is changed.

    They are copied, not cut: an earlier attempt may still write to them. That takes as much space again as they have,
    for as long as the old ones are open.

    Args:
        workspace: The Request's.
        checkpoint: The checkpoint.
        extents: For each file's name, what of it is kept.
        headers: For each file whose header is left out of the CRC, that header's length in bytes.

    Raises:
        NotAsSavedError: If one of them holds something else.
        ToolError: ``DiskFull`` or ``DiskFailed``.
        Superseded: If a later attempt has the folder.
        OSError: If they cannot be copied.
    """
    copies = []
    try:
        for name, extent in extents.items():
            path = workspace.path(name)
            copies.append((workspace.beside(path), path))
            copy_extent(path, extent, copies[-1][0], (headers or {}).get(name, 0))
    except NotAsSavedError:
        for copy, _ in copies:
            copy.unlink(missing_ok=True)
        raise
    # First this: were another attempt's later checkpoint to count, it would count frames that are cut off now.
    workspace.adopt(checkpoint)
    for copy, path in copies:
        copy.replace(path)
    sync_folder(workspace.folder)


class GrowingFile:
    """A file that grows frame by frame while it is open. A new one takes the place of one that was there.

    Another process may still write to that; it does no harm to this one, which is another inode.

    Args:
        path: The file.
        extent: What is there to go on from; None for a new file.
        header: What a new file begins with.
        header_counts: Whether the CRC counts the header too; not where it changes while the file grows.
    """

    def __init__(self, path: Path, extent: Extent | None, header: bytes = b"", *, header_counts: bool = True) -> None:
        counted = header if header_counts else b""
        self.frames = extent.frames if extent else 0
        self._crc = extent.crc if extent else zlib.crc32(counted)
        self._length = extent.length if extent else len(header)
        if extent is None:
            path.unlink(missing_ok=True)
        self._file: IO[bytes] = path.open("w+b" if extent is None else "r+b")
        if extent is None:
            self._file.write(header)
        else:
            self._file.seek(0, os.SEEK_END)

    def append(self, frame: bytes) -> None:
        """Adds a frame or a row."""
        self._file.write(frame)
        self._crc = zlib.crc32(frame, self._crc)
        self._length += len(frame)
        self.frames += 1

    @property
    def extent(self) -> Extent:
        """What has been written."""
        return Extent(self._length, self._crc, self.frames)

    @property
    def handle(self) -> int:
        """File descriptor by which it can be read back, once it was flushed."""
        return self._file.fileno()

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        self._file.flush()

    def sync(self) -> None:
        """Puts what was written on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

"""Files that grow while a simulation runs, and how they are put back to where a checkpoint was."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Extent:
    """What of a growing file a checkpoint counts.

    Attributes:
        length: Bytes.
        crc: CRC-32 of them.
        frames: How many frames or rows they are.
    """

    length: int
    crc: int
    frames: int


class NotAsSavedError(Exception):
    """A growing file is not, or not any more, what a checkpoint says of it."""


def copy_extent(path: Path, extent: Extent, target: Path) -> None:
    """Copies the part of a file that a checkpoint counts, and checks it.

    Args:
        path: The file, which may have grown since, and may still grow.
        extent: The part.
        target: The copy. It is on disk when this returns.

    Raises:
        NotAsSavedError: If the file is shorter, or holds something else.
    """
    crc, left = 0, extent.length
    try:
        with path.open("rb") as source, target.open("wb") as copy:
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


class GrowingFile:
    """A file that is only appended to. A new one takes the place of one that was there.

    Another process may still write to that; it does no harm to this one, which is another inode.

    Args:
        path: The file.
        extent: What is there to go on from; None for a new file.
        header: What a new file begins with.
    """

    def __init__(self, path: Path, extent: Extent | None, header: bytes = b"") -> None:
        self.frames = extent.frames if extent else 0
        self._crc = extent.crc if extent else 0
        self._length = extent.length if extent else 0
        if extent is None:
            path.unlink(missing_ok=True)
        self._file: IO[bytes] = path.open("wb" if extent is None else "ab")
        if extent is None:
            self._write(header)

    def append(self, frame: bytes) -> None:
        """Adds a frame or a row."""
        self._write(frame)
        self.frames += 1

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._crc = zlib.crc32(content, self._crc)
        self._length += len(content)

    @property
    def extent(self) -> Extent:
        """What has been written."""
        return Extent(self._length, self._crc, self.frames)

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

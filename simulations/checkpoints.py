"""Checkpoints on disk: written atomically, checked when read, and named by the attempt that wrote them.

Of a Request's attempts one may still run that was given up for lost. It cannot do harm: each attempt writes files of
its own, and the files of the latest attempt count first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from simulations.disk import replace_file

KEPT = 2
"""How many are kept: the last good one, should the latest be damaged, and the latest."""

_MAGIC = b"director checkpoint 1\n"
_NAME = re.compile(r"^saved\.(\d{1,9})\.(\d{1,9})$")
_PARTIAL = re.compile(r"\.(\d{1,9})\.partial$")
_HEADER_MOST = 4096


@dataclass(frozen=True)
class Checkpoint:
    """What an attempt saved.

    Attributes:
        epoch: The attempt.
        number: Counts its checkpoints.
        amount: How much was done, in the Tool's unit of work.
        saved_at: When it was first written (UTC).
        content: What the Tool needs to go on.
    """

    epoch: int
    number: int
    amount: float
    saved_at: datetime
    content: bytes


class DamagedError(Exception):
    """A file that is no whole checkpoint."""


def encode(amount: float, saved_at: datetime, content: bytes) -> bytes:
    """The bytes before a checkpoint's content: what it is, its length and its checksum (SHA-256, header included)."""
    header = {"amount": amount, "saved_at": saved_at.isoformat(), "length": len(content)}
    text = json.dumps(header, separators=(",", ":")).encode()
    checksum = hashlib.sha256(text + b"\n")
    checksum.update(content)
    return _MAGIC + text + b"\n" + checksum.hexdigest().encode() + b"\n"


def decode(data: bytes, epoch: int, number: int) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        DamagedError: If it is torn, too long, of another kind, or its checksum is wrong.
    """
    lines = data[: len(_MAGIC) + _HEADER_MOST].split(b"\n", 3)
    if len(lines) < 4 or lines[0] + b"\n" != _MAGIC:
        raise DamagedError("it is no checkpoint of this format, or torn")
    head, text, checksum, _ = lines
    content = data[len(head) + len(text) + len(checksum) + 3 :]
    found = hashlib.sha256(text + b"\n")
    found.update(content)
    if found.hexdigest().encode() != checksum:
        raise DamagedError("its checksum is wrong: it is torn or was changed")
    header = json.loads(text)
    return Checkpoint(
        epoch=epoch,
        number=number,
        amount=float(header["amount"]),
        saved_at=datetime.fromisoformat(header["saved_at"]),
        content=content,
    )


class CheckpointStore:
    """The checkpoints of one Request, as one of its attempts sees them.

    Args:
        folder: Where they are; it must exist before the first is saved.
        epoch: The attempt.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self._folder = folder
        self._epoch = epoch

    def save(self, amount: float, saved_at: datetime, content: bytes) -> None:
        """Writes a checkpoint of this attempt; then removes what it makes superfluous.

        Returns when it is on disk. Until then what was saved before is there.

        Raises:
            OSError: If it cannot be written.
        """
        own = [number for epoch, number in self._found() if epoch == self._epoch]
        number = max(own, default=0) + 1
        path = self._path(self._epoch, number)
        replace_file(path, (encode(amount, saved_at, content), content), partial_path(path, self._epoch))
        earlier = sorted(found for found in self._found() if found < (self._epoch, number))
        for epoch, other in earlier[: 1 - KEPT]:
            self._path(epoch, other).unlink(missing_ok=True)

    def load(self, skipped: Callable[[str], None]) -> Iterator[Checkpoint]:
        """Yields the whole checkpoints of this attempt and earlier ones, the newest first.

        An attempt's are newer than all of an earlier attempt, whenever that one wrote them.

        Args:
            skipped: Told of each damaged one that is passed over.

        Raises:
            OSError: If one could not be read, and none of the others was of use. The work must not begin anew then.
        """
        unreadable: OSError | None = None
        for epoch, number in sorted(self._found(), reverse=True):
            if epoch > self._epoch:
                continue
            path = self._path(epoch, number)
            try:
                yield decode(path.read_bytes(), epoch, number)
            except DamagedError as error:
                skipped(f"checkpoint {path.name} was passed over: {error}")
            except FileNotFoundError:
                skipped(f"checkpoint {path.name} was removed while it was looked for")
            except OSError as error:
                unreadable = error
                skipped(f"checkpoint {path.name} was passed over: {error.strerror}")
        if unreadable is not None:
            raise unreadable

    def _found(self) -> list[tuple[int, int]]:
        try:
            names = [entry.name for entry in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return [(int(match[1]), int(match[2])) for match in map(_NAME.match, names) if match]

    def _path(self, epoch: int, number: int) -> Path:
        return self._folder / f"saved.{epoch}.{number}"


def discard(folder: Path) -> None:
    """Removes all checkpoints of a Request that has its Outcome, and what was kept beside them to go on.

    Raises:
        OSError: If one cannot be removed.
    """
    for path in folder.glob("saved.*"):
        path.unlink(missing_ok=True)
    remove_partials(folder)


def partial_path(path: Path, epoch: int) -> Path:
    """Where an attempt writes a file first that it then renames to a path."""
    return path.with_name(f"{path.name}.{epoch}.partial")


def remove_partials(folder: Path, before: int | None = None) -> None:
    """Removes files that attempts were writing when they ended, as a kill leaves them.

    Args:
        folder: The Request's folder.
        before: Only those of attempts with a lower epoch; None: all.

    Raises:
        OSError: If one cannot be removed.
    """
    for path in folder.iterdir():
        match = _PARTIAL.search(path.name)
        if match and (before is None or int(match[1]) < before):
            path.unlink(missing_ok=True)


def now_utc() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)

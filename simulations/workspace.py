"""A Request's folder, and what its Tool may know of the place where it runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulations.cache import BuildCache
from simulations.errors import Cancelled

PROGRESS_FILE = "progress.json"
STOP_FILE = "stop"
PROGRESS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Resources:
    """What one worker owns.

    Attributes:
        host: Name of its node.
        worker: ``host/rank``.
        threads: How many threads a simulation should use.
        accelerator: Name of its accelerator, or None.
    """

    host: str
    worker: str
    threads: int = 1
    accelerator: str | None = None


@dataclass
class Workspace:
    """Where one attempt of a Request may read and write.

    The folder is made at the first write, so a Request that leaves no file costs the file system nothing.

    Attributes:
        folder: The Request's folder.
        run_folder: The run folder, which contains it; artifacts are named relative to this one.
        resources: What the worker owns.
        inputs: For each input that names a user's file, the path of its copy.
        cache: What this worker has built before.
        clock: Seconds, monotonic.
        artifacts: Name of each file left for the user, with its path relative to the run folder.
    """

    folder: Path
    run_folder: Path
    resources: Resources
    inputs: Mapping[str, Path] = field(default_factory=dict)
    cache: BuildCache = field(default_factory=BuildCache)
    clock: Callable[[], float] = time.monotonic
    artifacts: dict[str, str] = field(default_factory=dict)
    _progress_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._progress_at = self.clock()

    def path(self, name: str) -> Path:
        """Path of a file in the folder, which is made if it is not there.

        Raises:
            ValueError: If the name leads out of the folder.
        """
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{name!r} leads out of the workspace {self.folder}")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def artifact(self, name: str, filename: str) -> Path:
        """Path of a file that is left for the user under a name, such as ``trajectory``."""
        path = self.path(filename)
        self.artifacts[name] = str(path.relative_to(self.run_folder))
        return path

    def write(self, filename: str, content: bytes) -> Path:
        """Writes a file so that a reader sees the old content or the new one, never a part, also after a crash."""
        path = self.path(filename)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        return path

    def progress(self, report: Callable[[], Mapping[str, Any]]) -> None:
        """Says how far the simulation is; at most once a second, and never for one that is done before that.

        Args:
            report: Called only when a report is due; returns JSON values, such as ``step`` and ``ns_per_day``.
        """
        now = self.clock()
        if now - self._progress_at < PROGRESS_PERIOD_S:
            return
        self._progress_at = now
        path = self.path(PROGRESS_FILE)
        partial = path.with_name(PROGRESS_FILE + ".partial")
        partial.write_text(json.dumps(dict(report())))
        partial.replace(path)

    def raise_if_cancelled(self) -> None:
        """Ends the simulation if its cancellation was asked for.

        Raises:
            Cancelled: If the stop flag is set.
        """
        if (self.folder / STOP_FILE).exists():
            raise Cancelled("the request was cancelled while it ran")

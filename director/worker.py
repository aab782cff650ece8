"""What runs in a worker process: attempts, one after another.

This module and what it imports are all that a worker loads of us before its first Tool, so it stays light.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from director.attempt import Attempt, AttemptResult
from partitions.environment import WORKER_VARIABLE
from partitions.reports import report
from simulations.cache import BuildCache
from simulations.errors import Cancelled, ToolError
from simulations.records import ErrorInfo, Status
from simulations.tool import AnyTool, find_tools
from simulations.workspace import Resources, Workspace

TRACEBACK_FILE = "traceback.txt"


@dataclass
class Worker:
    """This process, as a worker: what it owns, and what it keeps between Requests."""

    resources: Resources
    tools: Mapping[str, AnyTool]
    cache: BuildCache = field(default_factory=BuildCache)

    def run(self, attempt: Attempt, run_folder: Path, work: Path) -> AttemptResult:
        """Runs one attempt. Whatever the Tool raises becomes part of the result."""
        workspace = Workspace(
            folder=work / attempt.id,
            run_folder=run_folder,
            resources=self.resources,
            inputs={name: run_folder / "inputs" / file.stored_name for name, file in attempt.files.items()},
            cache=self.cache,
        )
        tool = self.tools[attempt.tool]
        started_at = datetime.now(UTC)
        result: dict[str, Any] | None = None
        error: ErrorInfo | None = None
        try:
            workspace.raise_if_cancelled()
            answer: BaseModel = tool.run(tool.request.model_validate(attempt.inputs), workspace)
            result = answer.model_dump(mode="json")
            status = Status.OK
        except Cancelled as caught:
            status = Status.CANCELLED
            error = ErrorInfo(type="Cancelled", message=str(caught), hint="Submit it again to run it.")
        except ToolError as caught:
            status = Status.FAILED
            error = ErrorInfo(type=caught.kind, message=caught.message, hint=caught.hint, details=caught.details)
        except Exception as caught:  # noqa: BLE001, RUF100  (the boundary: a Tool may raise anything)
            status = Status.FAILED
            error = self._unforeseen(caught, workspace)
        return AttemptResult(
            id=attempt.id,
            epoch=attempt.epoch,
            status=status,
            result=result,
            error=error,
            host=self.resources.host,
            worker=self.resources.worker,
            accelerator=self.resources.accelerator,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            artifacts=dict(workspace.artifacts),
            versions=versions(tool.packages),
        )

    @staticmethod
    def _unforeseen(caught: Exception, workspace: Workspace) -> ErrorInfo:
        hint = "This error was not foreseen by the Tool."
        try:
            workspace.artifact("traceback", TRACEBACK_FILE).write_text(traceback.format_exc())
            hint += " Its traceback is among the artifacts."
        except OSError as failure:
            hint += f" Its traceback could not be written: {failure}."
        return ErrorInfo(type=type(caught).__name__, message=str(caught) or repr(caught), hint=hint)


@functools.lru_cache(maxsize=64)
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("md-director", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python, md-director and these packages."""
    return dict(_versions(packages))


def describe(environment: Mapping[str, str]) -> Resources:
    """Reads from its environment what a worker owns; see `partitions.worker_pool`.

    Raises:
        KeyError: If the worker was not started by a Director.
    """
    said = json.loads(environment[WORKER_VARIABLE])
    return Resources(
        host=said["host"],
        worker=f"{said['host']}/{said['rank']}",
        threads=said["threads"],
        accelerator=said["accelerator"],
    )


def pack_name(attempts: Sequence[Attempt]) -> str:
    """What attempts that travel together are called: no two packs begin with the same attempt."""
    return f"{attempts[0].id}.{attempts[0].epoch}"


@functools.cache
def this_worker() -> Worker:
    """The worker that this process is."""
    return Worker(describe(os.environ), find_tools())


def run_attempts(attempts: list[Attempt], run_folder: str, work: str) -> list[AttemptResult]:
    """Runs attempts one after another: the function that travels to workers."""
    worker = this_worker()
    report({"rank": int(worker.resources.worker.rpartition("/")[2]), "began": pack_name(attempts)}, os.environ)
    return [worker.run(attempt, Path(run_folder), Path(work)) for attempt in attempts]

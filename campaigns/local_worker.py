"""One process of `campaigns.local`: ``python -m campaigns.local_worker FOLDER HOST/RANK``.

It reads one line of JSON for each task from its standard input, writes the Outcome into the folder, and then answers
with a line. When its standard input ends, whoever started it is gone, and it ends at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from simulations.cache import BuildCache
from simulations.disk import disk_error, replace_file
from simulations.errors import ToolError
from simulations.records import ErrorInfo, Outcome, Request, Status, Usage
from simulations.tool import AnyTool, find_tools
from simulations.workspace import Resources, Workspace

TRACEBACK_FILE = "traceback.txt"


@dataclass(frozen=True)
class Task:
    """What a process is to do.

    Attributes:
        request: Checked and complete, its files staged.
        key: Of the Request.
        tool_version: Of its Tool.
        attempt: Which attempt this is, from 1.
        submitted_at: When it was handed over (UTC).
    """

    request: Request
    key: str
    tool_version: str
    attempt: int = 1
    submitted_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def again(self) -> Task:
        """The next attempt."""
        return replace(self, attempt=self.attempt + 1)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "request": self.request.model_dump(mode="json"),
            "key": self.key,
            "tool_version": self.tool_version,
            "attempt": self.attempt,
            "submitted_at": self.submitted_at.isoformat(),
        }


def task_of(document: Mapping[str, Any]) -> Task:
    """The task of such a document."""
    return Task(
        request=Request.model_validate(document["request"]),
        key=document["key"],
        tool_version=document["tool_version"],
        attempt=document["attempt"],
        submitted_at=datetime.fromisoformat(document["submitted_at"]),
    )


def outcome_file(folder: Path, name: str) -> Path:
    """Where the Outcome of a Request is kept."""
    return folder / "outcomes" / f"{name}.json"


class LocalWorker:
    """Runs tasks one after another.

    Args:
        folder: Folder of `campaigns.local.LocalEvaluate`.
        worker: ``host/rank``.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self._tools: Mapping[str, AnyTool] = find_tools()
        self._resources = Resources(host=worker.rpartition("/")[0], worker=worker)
        self._cache = BuildCache()

    def run(self, task: Task) -> None:
        """Runs a task, unless it has its Outcome, and writes that down."""
        path = outcome_file(self._folder, task.request.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        work = self._folder / "work" / task.request.id
        work.mkdir(parents=True, exist_ok=True)
        # One that was started by a process before, and has not noticed its end yet, ends within a moment.
        with (self._folder / "work" / f"{task.request.id}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                outcome = self._outcome(task, work)
                replace_file(path, [outcome.model_dump_json().encode()], path.with_suffix(".partial"))

    def _outcome(self, task: Task, work: Path) -> Outcome:
        request, tool = task.request, self._tools[task.request.tool]
        workspace = Workspace(
            folder=work,
            run_folder=self._folder,
            resources=self._resources,
            inputs={name: self._folder / "inputs" / file.stored_name for name, file in request.files.items()},
            cache=self._cache,
            epoch=next_epoch(work),
        )
        started_at = datetime.now(UTC)
        result, error = _run(tool, request, workspace)
        finished_at = datetime.now(UTC)
        run_s = (finished_at - started_at).total_seconds()
        queued_s = max(0.0, (started_at - task.submitted_at).total_seconds())
        cores = len(os.sched_getaffinity(0))
        return Outcome(
            id=request.id,
            key=task.key,
            tool=tool.name,
            tool_version=tool.version,
            status=Status.OK if error is None else Status.FAILED,
            inputs=request.inputs,
            result=result,
            error=error,
            director=-1,
            partition=[self._resources.host],
            host=self._resources.host,
            worker=self._resources.worker,
            attempts=task.attempt,
            usage=Usage(queued_s=queued_s, startup_s=0.0, run_s=run_s, lost_s=0.0, node_hours=run_s / 3600 / cores),
            submitted_at=task.submitted_at,
            started_at=started_at,
            finished_at=finished_at,
            artifacts=dict(workspace.artifacts),
            versions=_versions(tool.packages),
        )


def next_epoch(work: Path) -> int:
    """Counts the attempts of a Request over all processes; the Tool's checkpoints are named by it."""
    path = work.with_name(f"{work.name}.attempts")
    try:
        epoch = int(path.read_text()) + 1
    except (FileNotFoundError, ValueError):
        epoch = 1
    replace_file(path, [str(epoch).encode()], path.with_suffix(".partial"))
    return epoch


def _run(tool: AnyTool, request: Request, workspace: Workspace) -> tuple[dict[str, Any] | None, ErrorInfo | None]:
    try:
        if workspace.epoch > 1 and not tool.checkpoints:
            workspace.clear()
        answer = tool.run(tool.request.model_validate(request.inputs), workspace)
        workspace.done()
        return answer.model_dump(mode="json"), None
    except ToolError as caught:
        return None, _said(caught)
    except Exception as caught:  # the boundary: a Tool may raise anything
        explained = disk_error(caught, workspace.folder) if isinstance(caught, OSError) else None
        return None, _said(explained) if explained else _unforeseen(caught, workspace)


def _said(error: ToolError) -> ErrorInfo:
    return ErrorInfo(type=error.kind, message=error.message, hint=error.hint, details=error.details)


def _unforeseen(caught: Exception, workspace: Workspace) -> ErrorInfo:
    hint = "This error was not foreseen by the Tool."
    try:
        workspace.artifact("traceback", TRACEBACK_FILE).write_text(traceback.format_exc())
        hint += " Its traceback is among the artifacts."
    except OSError as failure:
        hint += f" Its traceback could not be written: {failure}."
    return ErrorInfo(type=type(caught).__name__, message=str(caught) or repr(caught), hint=hint)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("md-director", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _read(tasks: SimpleQueue[Task]) -> None:
    """Reads tasks until standard input ends; then whoever started this is gone, and nobody waits for it."""
    for line in sys.stdin.buffer:
        tasks.put(task_of(json.loads(line)))
    os._exit(0)


def main() -> None:
    """Runs tasks until standard input ends."""
    folder, worker = Path(sys.argv[1]), sys.argv[2]
    # What a Tool prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks: SimpleQueue[Task] = SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), name="standard input", daemon=True).start()
    mine = LocalWorker(folder, worker)
    while True:
        task = tasks.get()
        mine.run(task)
        answers.write(json.dumps({"id": task.request.id}).encode() + b"\n")


if __name__ == "__main__":
    main()

"""``mock_md``: no simulation at all. It sleeps, and says where; for examples of scheduling and for benchmarks.

It saves how long it has slept, pauses, and goes on, as ``md`` does, so that what becomes of a campaign when things
break can be tried without physics; it also breaks when told to.
"""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulations.checkpoints import Checkpoint
from simulations.errors import Paused, ToolError
from simulations.tool import Tool
from simulations.workspace import Workspace

SLICE_S = 0.1

Crash = Literal["none", "worker", "error", "transient"]


class MockRequest(BaseModel):
    """Inputs of ``mock_md``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    duration_s: float = Field(ge=0, le=86_400, description="How long to sleep, in seconds.")
    seed: int = Field(default=1, ge=0, description="Has no effect but to tell requests apart.")
    checkpoint_interval_s: float = Field(
        default=10.0, gt=0, le=86_400, description="Wall time between checkpoints of how long it has slept, in s."
    )
    crash: Crash = Field(
        default="none",
        description="For tests of what becomes of failures. worker: it kills its own process with SIGKILL, so only "
        "on a worker; error: it fails; transient: it fails with an error that is worth another attempt.",
    )
    crash_after_s: float = Field(
        default=0.0, ge=0, le=86_400, description="How long it sleeps before it crashes, in s."
    )
    crash_attempts: int | None = Field(
        default=None, ge=1, description="It crashes in attempts up to this number; null: in each."
    )


class MockResult(BaseModel):
    """Where ``mock_md`` slept. There is no physics in it."""

    mock: Literal[True] = Field(default=True, description="Always true: nothing was simulated.")
    host: str = Field(description="Name of the node, of the last attempt.")
    worker: str = Field(description="Name of the worker process, host/rank, of the last attempt.")
    accelerator: str | None = Field(description="Name of the worker's accelerator, if it owns one.")
    slept_s: float = Field(
        description="How long it slept, in seconds, over all attempts; what was lost does not count."
    )


def run(request: MockRequest, workspace: Workspace) -> MockResult:
    """Sleeps for the time asked for, in slices, and goes on where an earlier attempt was.

    Raises:
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause; how long it slept is saved.
        ToolError: If ``crash`` says so.
    """
    checkpoint = next((found for found in workspace.load() if _slept_s(found, request) is not None), None)
    before_s = (_slept_s(checkpoint, request) if checkpoint else None) or 0.0
    if checkpoint:
        workspace.adopt(checkpoint)
    crash_at_s = _crash_at_s(request, workspace)
    workspace.begin(checkpoint)
    start = saved_at = workspace.clock()
    slept_s = before_s
    while True:
        if crash_at_s is not None and slept_s >= crash_at_s:
            _crash(request)
        left_s = request.duration_s - slept_s
        if left_s <= 0:
            break
        time.sleep(min(left_s, SLICE_S))
        now = workspace.clock()
        slept_s = before_s + now - start
        if left_s <= SLICE_S:
            continue
        pause = workspace.pause_asked()
        if pause or now - saved_at >= request.checkpoint_interval_s:
            workspace.save(slept_s, _content(slept_s, request))
            saved_at = now
        if pause:
            raise Paused
        workspace.progress(partial(dict, slept_s=round(slept_s, 3)), amount=slept_s)
    workspace.reached(request.duration_s)
    resources = workspace.resources
    return MockResult(host=resources.host, worker=resources.worker, accelerator=resources.accelerator, slept_s=slept_s)


def _content(slept_s: float, request: MockRequest) -> bytes:
    return json.dumps({"slept_s": slept_s, "inputs": request.model_dump(mode="json")}).encode()


def _slept_s(checkpoint: Checkpoint, request: MockRequest) -> float | None:
    """How long it had slept; None if the checkpoint is another request's."""
    said = json.loads(checkpoint.content)
    return float(said["slept_s"]) if said["inputs"] == request.model_dump(mode="json") else None


def _crash_at_s(request: MockRequest, workspace: Workspace) -> float | None:
    crashes = request.crash != "none" and workspace.epoch <= (request.crash_attempts or workspace.epoch)
    return min(request.crash_after_s, request.duration_s) if crashes else None


def _crash(request: MockRequest) -> None:
    if request.crash == "worker":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ToolError(
        f"it was told to crash after {request.crash_after_s:g} s",
        hint="leave crash out",
        kind="Crashed",
        transient=request.crash == "transient",
    )


TOOL = Tool(
    name="mock_md",
    version="2",
    summary="Not a simulation: sleeps for duration_s seconds and returns the worker it ran on.",
    request=MockRequest,
    result=MockResult,
    run=run,
    checkpoints=True,
    amount=lambda request: request.duration_s,
    unit="s",
    size=lambda request: "mock",
    rehearsal=lambda request: request.model_copy(update={"duration_s": 86_400.0}),
)

"""``mock_md``: no simulation at all. It sleeps, and says where; for examples of scheduling and for benchmarks."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulations.tool import Tool
from simulations.workspace import Workspace

SLICE_S = 0.1


class MockRequest(BaseModel):
    """Inputs of ``mock_md``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    duration_s: float = Field(ge=0, le=86_400, description="How long to sleep, in seconds.")
    seed: int = Field(default=1, ge=0, description="Has no effect but to tell requests apart.")


class MockResult(BaseModel):
    """Where ``mock_md`` slept. There is no physics in it."""

    mock: Literal[True] = Field(default=True, description="Always true: nothing was simulated.")
    host: str = Field(description="Name of the node.")
    worker: str = Field(description="Name of the worker process, host/rank.")
    accelerator: str | None = Field(description="Name of the worker's accelerator, if it owns one.")
    slept_s: float = Field(description="How long it slept, in seconds.")


def run(request: MockRequest, workspace: Workspace) -> MockResult:
    """Sleeps for the time asked for, in slices, so that it can be cancelled."""
    start = time.monotonic()
    while (left := start + request.duration_s - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_S))
        if left > SLICE_S:
            workspace.raise_if_cancelled()
            workspace.progress(lambda: {"slept_s": round(time.monotonic() - start, 3)})
    resources = workspace.resources
    return MockResult(
        host=resources.host,
        worker=resources.worker,
        accelerator=resources.accelerator,
        slept_s=time.monotonic() - start,
    )


TOOL = Tool(
    name="mock_md",
    version="1",
    summary="Not a simulation: sleeps for duration_s seconds and returns the worker it ran on.",
    request=MockRequest,
    result=MockResult,
    run=run,
)

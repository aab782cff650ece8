"""``long_well``: Brownian motion in a harmonic well that saves what it has done, pauses, and goes on."""

import json
import math
import random

from pydantic import BaseModel, ConfigDict, Field

from simulations import Paused, Tool, Workspace

BOLTZMANN_KJ_MOL_K = 8.31446261815324e-3
LOOK_EVERY_STEPS = 10_000


class LongWellRequest(BaseModel):
    """Inputs of ``long_well``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(ge=1, le=10**12, description="Steps to take.")
    temperature_k: float = Field(default=300.0, gt=0, le=2000, description="Temperature, in K.")
    seed: int = Field(default=1, ge=0, description="Seed of the random forces.")
    checkpoint_interval_s: float = Field(default=60.0, gt=0, le=86_400, description="Time between checkpoints, in s.")


class LongWellResult(BaseModel):
    """What ``long_well`` returns."""

    mean_energy_kj_mol: float = Field(description="Mean potential energy, in kJ/mol.")


def run(request: LongWellRequest, workspace: Workspace) -> LongWellResult:
    """Takes steps of 0.05 relaxation times in a well of 1000 kJ/mol/nm², from its bottom or the latest checkpoint."""
    rng = random.Random(request.seed)
    step, x_nm, total = 0, 0.0, 0.0
    checkpoint = next(workspace.load(), None)  # the newest that is whole
    if checkpoint is not None:
        workspace.adopt(checkpoint)
        step, x_nm, total, (version, words, gauss) = json.loads(checkpoint.content)
        rng.setstate((version, tuple(words), gauss))
    kick_nm = math.sqrt(2 * 0.05 * BOLTZMANN_KJ_MOL_K * request.temperature_k / 1000)
    workspace.begin(checkpoint)
    saved_at = workspace.clock()
    while step < request.steps:
        for _ in range(min(LOOK_EVERY_STEPS, request.steps - step)):
            x_nm += -0.05 * x_nm + kick_nm * rng.gauss(0, 1)
            total += 1000 * x_nm**2 / 2
            step += 1
        pause = workspace.pause_asked()  # raises if it is to stop for good
        if pause or workspace.clock() - saved_at >= request.checkpoint_interval_s:
            workspace.save(step, json.dumps([step, x_nm, total, rng.getstate()]).encode())
            saved_at = workspace.clock()
        if pause:
            raise Paused
        workspace.progress(lambda at=step: {"step": at, "steps": request.steps}, amount=step)
    workspace.reached(request.steps)
    return LongWellResult(mean_energy_kj_mol=total / request.steps)


TOOL = Tool(
    name="long_well",
    version="1",
    summary="Brownian motion in a harmonic well, for long: it goes on where it was interrupted.",
    request=LongWellRequest,
    result=LongWellResult,
    run=run,
    packages=("long-well-tool",),
    checkpoints=True,
    amount=lambda request: request.steps,
    unit="steps",
    size=lambda request: "well",
)

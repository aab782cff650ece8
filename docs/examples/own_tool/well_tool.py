"""``well``: Brownian motion of one particle in a harmonic well, whose mean energy is known."""

import math
import random

from pydantic import BaseModel, ConfigDict, Field

from simulations import Tool, ToolError, Workspace

BOLTZMANN_KJ_MOL_K = 8.31446261815324e-3


class WellRequest(BaseModel):
    """Inputs of ``well``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(ge=1, le=10**8, description="Steps to take.")
    stiffness_kj_mol_nm2: float = Field(default=1000.0, gt=0, description="Stiffness of the well, in kJ/mol/nm².")
    temperature_k: float = Field(default=300.0, gt=0, le=2000, description="Temperature, in K.")
    step_size: float = Field(default=0.05, gt=0, description="Step over relaxation time; below 2, or it diverges.")
    seed: int = Field(default=1, ge=0, description="Seed of the random forces.")


class WellResult(BaseModel):
    """What ``well`` returns."""

    mean_energy_kj_mol: float = Field(description="Mean potential energy, in kJ/mol.")
    expected_energy_kj_mol: float = Field(description="kT/2, over 1 - step_size/2 for this integrator, in kJ/mol.")


def run(request: WellRequest, workspace: Workspace) -> WellResult:
    """Integrates overdamped Langevin dynamics (Euler–Maruyama) from the bottom of the well."""
    if request.step_size >= 2:
        raise ToolError(
            f"step_size {request.step_size} makes the particle leave the well",
            hint="choose a step_size below 2",
            kind="StepTooLarge",
        )
    rng = random.Random(request.seed)
    kt = BOLTZMANN_KJ_MOL_K * request.temperature_k
    kick_nm = math.sqrt(2 * request.step_size * kt / request.stiffness_kj_mol_nm2)
    x_nm = total = 0.0
    with workspace.artifact("positions", "positions.csv").open("w") as table:
        table.write("step,x_nm\n")
        for step in range(1, request.steps + 1):
            x_nm += -request.step_size * x_nm + kick_nm * rng.gauss(0, 1)
            total += request.stiffness_kj_mol_nm2 * x_nm**2 / 2
            if step % 100 == 0:
                table.write(f"{step},{x_nm:.6f}\n")
                workspace.raise_if_cancelled()
                workspace.progress(lambda step=step: {"step": step, "steps": request.steps})
    return WellResult(mean_energy_kj_mol=total / request.steps, expected_energy_kj_mol=kt / (2 - request.step_size))


TOOL = Tool(
    name="well",
    version="1",
    summary="Brownian motion in a harmonic well: mean potential energy beside the one expected.",
    request=WellRequest,
    result=WellResult,
    run=run,
    packages=("well-tool",),
)

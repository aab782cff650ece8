"""``md``: all-atom molecular dynamics with OpenMM. Light to import; OpenMM is loaded by the first run."""

from typing import Any

from simulations.errors import ToolError
from simulations.md.models import VERSION, MdRequest
from simulations.md.results import MdResult
from simulations.tool import Tool
from simulations.workspace import Workspace

NEEDED = ("openmm", "pdbfixer")
"""Packages without which nothing is simulated. They are installed with md-director, unless somebody leaves them out."""

REHEARSAL_STEPS = 10**12
REHEARSAL_ITERATIONS = 50

__all__ = ["TOOL", "MdRequest", "MdResult", "run"]


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Runs one simulation; see `simulations.md.run.run`."""
    # Schemas and validation must be cheap on a login node, so what needs OpenMM is imported here.
    try:
        from simulations.md.run import run as run_openmm
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in NEEDED:
            raise
        raise ToolError(
            f"the package {package!r} is not installed where this Tool runs",
            hint=f"in the environment of the workers: pip install {package}",
            kind="MissingPackage",
        ) from error
    return run_openmm(request, workspace)


def amount_ns(request: MdRequest) -> float:
    """How much there is to simulate, in ns, the stages before production included."""
    return (request.stage_steps + request.steps) * request.timestep_fs * 1e-6


def size(request: MdRequest) -> str:
    """Names what decides how many ns a day are simulated, as far as the inputs tell."""
    box = "" if request.padding_nm is None else f" {request.padding_nm:g} nm"
    model = request.water_model if request.solvent == "explicit" else request.implicit_model
    solvent = f"{request.solvent} {model or ''}".strip() if request.solvent != "vacuum" else "vacuum"
    system = f"{request.source_name} {request.force_field} {solvent}{box} {request.heterogens}"
    return f"{system} {request.ensemble} {request.timestep_fs:g} fs {request.platform}"


def rehearsal(request: MdRequest) -> MdRequest:
    """The same simulation without an end, minimised only as far as it takes to run."""
    changes: dict[str, Any] = {
        "steps": REHEARSAL_STEPS,
        "stages": (),
        "minimize_max_iterations": min(request.minimize_max_iterations, REHEARSAL_ITERATIONS),
    }
    # What only its stages needed would be refused without them.
    if request.ensemble != "NPT":
        changes["pressure_bar"] = None
    if request.ensemble == "NVE":
        changes["friction_per_ps"] = None
    return request.model_copy(update=changes)


TOOL = Tool(
    name="md",
    version=VERSION,
    summary="All-atom molecular dynamics with OpenMM of a PDB or mmCIF structure, a peptide by its sequence, or water: "
    "trajectory, energies, RMSD, Rg.",
    request=MdRequest,
    result=MdResult,
    run=run,
    packages=("openmm", "numpy", "mdtraj"),
    checkpoints=True,
    amount=amount_ns,
    unit="ns",
    size=size,
    rehearsal=rehearsal,
)

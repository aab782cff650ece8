"""``md``: all-atom molecular dynamics with OpenMM. Light to import; OpenMM is loaded by the first run."""

from simulations.md.models import VERSION, MdRequest, MdResult
from simulations.tool import Tool
from simulations.workspace import Workspace

__all__ = ["TOOL", "MdRequest", "MdResult", "run"]


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Runs one simulation; see `simulations.md.run.run`."""
    # Schemas and validation must be cheap on a login node, so what needs OpenMM is imported here.
    from simulations.md.run import run as run_openmm

    return run_openmm(request, workspace)


def amount_ns(request: MdRequest) -> float:
    """How much there is to simulate, in ns."""
    return request.steps * request.timestep_fs * 1e-6


def size(request: MdRequest) -> str:
    """Names what decides how many ns a day are simulated, as far as the inputs tell."""
    box = "" if request.padding_nm is None else f" {request.padding_nm:g} nm"
    system = f"{request.structure} {request.force_field} {request.solvent}{box}"
    return f"{system} {request.ensemble} {request.timestep_fs:g} fs {request.platform}"


TOOL = Tool(
    name="md",
    version=VERSION,
    summary="All-atom molecular dynamics of a PDB or mmCIF structure with OpenMM: trajectory, energies, RMSD, Rg.",
    request=MdRequest,
    result=MdResult,
    run=run,
    packages=("openmm", "numpy"),
    checkpoints=True,
    amount=amount_ns,
    unit="ns",
    size=size,
)

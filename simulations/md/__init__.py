"""``md``: all-atom molecular dynamics with OpenMM. Light to import; OpenMM is loaded by the first run."""

from simulations.md.models import MdRequest, MdResult
from simulations.tool import Tool
from simulations.workspace import Workspace

__all__ = ["TOOL", "MdRequest", "MdResult", "run"]


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Runs one simulation; see `simulations.md.run.run`."""
    # Schemas and validation must be cheap on a login node, so what needs OpenMM is imported here.
    from simulations.md.run import run as run_openmm

    return run_openmm(request, workspace)


TOOL = Tool(
    name="md",
    version="1",
    summary="All-atom molecular dynamics of a PDB or mmCIF structure with OpenMM: trajectory, energies, RMSD, Rg.",
    request=MdRequest,
    result=MdResult,
    run=run,
    packages=("openmm", "numpy"),
)

"""``ionization_energy``: of a molecule given as SMILES, with GFN2-xTB. Light to import; the rest is loaded by a run."""

from simulations.ionization.models import VERSION, IonizationRequest, IonizationResult
from simulations.tool import Tool
from simulations.workspace import Workspace

__all__ = ["TOOL", "IonizationRequest", "IonizationResult", "run"]


def run(request: IonizationRequest, workspace: Workspace) -> IonizationResult:
    """Computes one ionization energy; see `simulations.ionization.run.run`."""
    # Schemas and validation must be cheap on a login node, so what needs ASE, RDKit or tblite is imported here.
    from simulations.ionization.run import run as run_xtb

    return run_xtb(request, workspace)


TOOL = Tool(
    name="ionization_energy",
    version=VERSION,
    summary="Vertical ionization energy of a molecule from its SMILES: RDKit geometry, relaxed with GFN2-xTB, in eV.",
    request=IonizationRequest,
    result=IonizationResult,
    run=run,
    packages=("ase", "rdkit", "tblite", "numpy"),
    checkpoints=True,
)

"""``single_point``, ``relax`` and ``ase_md``: atoms and crystals by ASE, with one of several calculators.

Light to import; ASE is loaded by the first run.
"""

from simulations.atomistic.inputs import AtomisticInputs
from simulations.atomistic.models import RELAX_VERSION, VERSION, AseMdRequest, RelaxRequest, SinglePointRequest
from simulations.atomistic.results import AseMdResult, RelaxResult, SinglePointResult
from simulations.tool import Tool
from simulations.workspace import Workspace

__all__ = [
    "ASE_MD",
    "RELAX",
    "SINGLE_POINT",
    "AseMdRequest",
    "AseMdResult",
    "RelaxRequest",
    "RelaxResult",
    "SinglePointRequest",
    "SinglePointResult",
]

# Schemas and validation must be cheap on a login node, so what needs ASE is imported in the functions.


def run_single_point(request: SinglePointRequest, workspace: Workspace) -> SinglePointResult:
    """Computes one structure; see `simulations.atomistic.single_point.run`."""
    from simulations.atomistic.single_point import run

    return run(request, workspace)


def run_relax(request: RelaxRequest, workspace: Workspace) -> RelaxResult:
    """Relaxes one structure; see `simulations.atomistic.relax.run`."""
    from simulations.atomistic.relax import run

    return run(request, workspace)


def run_ase_md(request: AseMdRequest, workspace: Workspace) -> AseMdResult:
    """Runs one simulation; see `simulations.atomistic.dynamics.run`."""
    from simulations.atomistic.dynamics import run

    return run(request, workspace)


def amount_ns(request: AseMdRequest) -> float:
    """How much there is to simulate, in ns."""
    return request.steps * request.timestep_fs * 1e-6


def system(request: AtomisticInputs) -> str:
    """Names what decides how long one evaluation takes, as far as the inputs tell."""
    source = request.structure or request.molecule or request.smiles or request.bulk
    cell = f" {request.crystal_structure or ''}{' cubic' if request.cubic else ''}" if request.bulk else ""
    repeated = "" if request.supercell is None else " " + "x".join(map(str, request.supercell))
    learned = "" if request.model is None else f" {request.model} {request.device}"
    return f"{source}{cell}{repeated} {request.calculator}{learned}"


PACKAGES = ("ase", "numpy", "scipy", "tblite", "rdkit", "chgnet", "mace-torch", "torch")
"""What may have had a hand in a result."""

SINGLE_POINT = Tool(
    name="single_point",
    version=VERSION,
    summary="Energy, forces and stress of a molecule or crystal with EMT, Lennard-Jones, GFN-xTB, CHGNet or MACE.",
    request=SinglePointRequest,
    result=SinglePointResult,
    run=run_single_point,
    packages=PACKAGES,
    amount=lambda request: 1.0,
    unit="evaluation",
    size=system,
)

RELAX = Tool(
    name="relax",
    version=RELAX_VERSION,
    summary="Relaxes atoms, and the cell if asked, of a molecule or crystal: structure, energies, forces, stress.",
    request=RelaxRequest,
    result=RelaxResult,
    run=run_relax,
    packages=PACKAGES,
    checkpoints=True,
)

ASE_MD = Tool(
    name="ase_md",
    version=VERSION,
    summary="Molecular dynamics of atoms, molecules and crystals with ASE, NVE or NVT: trajectory, energies, drift.",
    request=AseMdRequest,
    result=AseMdResult,
    run=run_ase_md,
    packages=PACKAGES,
    checkpoints=True,
    amount=amount_ns,
    unit="ns",
    size=lambda request: f"{system(request)} {request.timestep_fs:g} fs",
)

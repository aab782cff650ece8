"""From SMILES to a first geometry, with RDKit. What RDKit raises ends here: some of it cannot be pickled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.errors import ToolError
from simulations.extras import need
from simulations.ionization.models import ForceFieldName, IonizationRequest

FORCE_FIELD_STEPS = 2000

HEAVIEST = 86
"""Radon: GFN2-xTB has parameters for hydrogen to radon (J. Chem. Theory Comput. 2019, 15, 1652)."""

TRIPLETS = {"O=O": "dioxygen", "S=S": "disulfur", "O=S": "sulfur monoxide"}
"""Triplets in their ground state, which SMILES writes as if they were singlets (Huber and Herzberg, Constants of
Diatomic Molecules, 1979)."""


@dataclass(frozen=True)
class Molecule:
    """A neutral molecule with closed shells, hydrogens included.

    Attributes:
        smiles: Canonical SMILES, without the hydrogens that it implies.
        formula: Sum formula.
        numbers: Atomic numbers, n.
        bonds: Indices of the atoms of each bond.
        unspecified_stereo: Stereocentres and double bonds that are left open.
        rdkit: RDKit's molecule, with hydrogens and without a geometry.
    """

    smiles: str
    formula: str
    numbers: tuple[int, ...]
    bonds: tuple[tuple[int, int], ...]
    unspecified_stereo: int
    rdkit: Any


@dataclass(frozen=True)
class FirstGeometry:
    """Where the relaxation begins.

    Attributes:
        positions: n × 3, in Å.
        converged: Whether the force field came to its end; None without one.
    """

    positions: NDArray[np.float64]
    converged: bool | None


def read_molecule(smiles: str, max_atoms: int) -> Molecule:
    """Reads a SMILES, and refuses what has no unambiguous answer.

    Args:
        smiles: Without spaces.
        max_atoms: Most atoms, hydrogens included.

    Raises:
        ToolError: ``BadSmiles``, ``SeveralMolecules``, ``ChargedMolecule``, ``OpenShell``, ``UnsupportedElement``,
            ``MoleculeTooLarge`` or ``MissingExtra``.
    """
    chem = need("rdkit.Chem", "chem")
    with _rdkit("reading it", smiles):
        parsed = _parse(chem, smiles)
        canonical: str = chem.MolToSmiles(parsed)
        _refuse(chem, parsed, canonical)
        whole = chem.AddHs(parsed)
        if whole.GetNumAtoms() > max_atoms:
            raise ToolError(
                f"{canonical} has {whole.GetNumAtoms()} atoms; at most {max_atoms} are accepted",
                hint="raise max_atoms; the time grows with the third power of the number of atoms",
                kind="MoleculeTooLarge",
                details={"n_atoms": whole.GetNumAtoms(), "max_atoms": max_atoms},
            )
        return Molecule(
            smiles=canonical,
            formula=need("rdkit.Chem.rdMolDescriptors", "chem").CalcMolFormula(whole),
            numbers=tuple(atom.GetAtomicNum() for atom in whole.GetAtoms()),
            bonds=tuple((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in whole.GetBonds()),
            unspecified_stereo=_unspecified_stereo(chem, parsed),
            rdkit=whole,
        )


def first_geometries(molecule: Molecule, request: IonizationRequest) -> list[FirstGeometry]:
    """Embeds the molecule with ETKDGv3 (J. Chem. Inf. Model. 2020, 60, 2044), and relaxes that with a force field.

    Args:
        molecule: The molecule.
        request: Its ``seed``, ``conformers`` and ``force_field`` count.

    Returns:
        As many as were asked for, or fewer if some embeddings failed; at least one.

    Raises:
        ToolError: ``EmbeddingFailed`` or ``NotParametrised``.
    """
    chem = need("rdkit.Chem.AllChem", "chem")
    whole = molecule.rdkit.__class__(molecule.rdkit)
    with _rdkit("embedding it", molecule.smiles):
        parameters = chem.ETKDGv3()
        parameters.randomSeed = request.seed
        found = list(chem.EmbedMultipleConfs(whole, request.conformers, parameters))
        if not found:
            raise ToolError(
                f"no geometry of {molecule.smiles} was found with seed {request.seed}",
                hint="check the SMILES for stereochemistry that strained rings do not allow; then try another seed",
                kind="EmbeddingFailed",
                details={"seed": request.seed, "conformers": request.conformers},
            )
    with _rdkit(f"relaxing it with {request.force_field}", molecule.smiles):
        converged = _relax(chem, whole, molecule.smiles, request.force_field)
        return [
            FirstGeometry(np.array(whole.GetConformer(which).GetPositions(), dtype=np.float64), came_to_end)
            for which, came_to_end in zip(found, converged, strict=True)
        ]


@contextmanager
def _rdkit(doing: str, smiles: str) -> Iterator[None]:
    """Lets nothing of RDKit's out: neither messages to standard error, nor exceptions."""
    base = need("rdkit.rdBase", "chem")
    with base.BlockLogs():
        try:
            yield
        except ToolError:
            raise
        except Exception as error:  # C++ code raises what it likes
            # `from None`: some of RDKit's exceptions cannot be pickled, and a cause travels along.
            raise ToolError(
                f"RDKit failed at {doing}: {smiles}: {type(error).__name__}: {str(error).strip() or 'no reason given'}",
                hint="check the SMILES; if it is right, report this with it",
                kind="RdkitFailed",
            ) from None


def _parse(chem: Any, smiles: str) -> Any:
    raw = chem.MolFromSmiles(smiles, sanitize=False)
    if raw is None:
        raise ToolError(
            f"{smiles!r} is no SMILES that RDKit can read",
            hint="check brackets, ring closures and element symbols",
            kind="BadSmiles",
        )
    problems = [problem.Message() for problem in chem.DetectChemistryProblems(raw)]
    parsed = None if problems else chem.MolFromSmiles(smiles)
    if parsed is None:
        why = "; ".join(problems) or "RDKit gives no reason"
        raise ToolError(
            f"{smiles!r} is no possible molecule: {why}",
            hint="check valences, charges and aromatic rings",
            kind="BadSmiles",
        )
    return parsed


def _refuse(chem: Any, parsed: Any, canonical: str) -> None:
    strange = sorted({atom.GetSymbol() for atom in parsed.GetAtoms() if not 1 <= atom.GetAtomicNum() <= HEAVIEST})
    if strange:
        raise ToolError(
            f"{canonical} has {', '.join(strange)}: GFN2-xTB has parameters for hydrogen to radon only",
            hint="leave it out; * stands for an atom that is not known",
            kind="UnsupportedElement",
        )
    parts = len(chem.GetMolFrags(parsed))
    if parts != 1:
        raise ToolError(
            f"{canonical} has {parts} molecules",
            hint="give each in a Request of its own; of a salt, which part is meant has to be said",
            kind="SeveralMolecules",
        )
    charge = chem.GetFormalCharge(parsed)
    if charge:
        raise ToolError(
            f"{canonical} has charge {charge:+d}: ionization energies are computed of neutral molecules only",
            hint="give the neutral molecule",
            kind="ChargedMolecule",
            details={"charge": charge},
        )
    what = _open_shell(parsed, canonical)
    if what:
        raise ToolError(
            f"{canonical} has {what}: the spin of its cation does not follow from the SMILES",
            hint="give a molecule with closed shells; or compute both energies with the Tool single_point",
            kind="OpenShell",
        )


def _open_shell(parsed: Any, canonical: str) -> str:
    """What is open about its shells; empty if nothing is."""
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in parsed.GetAtoms())
    if unpaired:
        return f"{unpaired} unpaired electron{'s' if unpaired > 1 else ''}"
    if canonical in TRIPLETS:
        return f"a triplet ground state ({TRIPLETS[canonical]})"
    # Of metal atoms RDKit does not know how many electrons are unpaired.
    electrons = sum(atom.GetAtomicNum() + atom.GetTotalNumHs() for atom in parsed.GetAtoms())
    return f"an odd number of electrons ({electrons})" if electrons % 2 else ""


def _unspecified_stereo(chem: Any, parsed: Any) -> int:
    found = chem.FindPotentialStereo(parsed)
    return sum(item.specified == chem.StereoSpecified.Unspecified for item in found)


def _relax(chem: Any, whole: Any, smiles: str, force_field: ForceFieldName) -> list[bool | None]:
    if force_field == "none":
        return [None] * int(whole.GetNumConformers())
    if force_field == "MMFF94":
        has, relax = chem.MMFFHasAllMoleculeParams, chem.MMFFOptimizeMoleculeConfs
    else:
        has, relax = chem.UFFHasAllMoleculeParams, chem.UFFOptimizeMoleculeConfs
    left = [status for status, _ in relax(whole, maxIters=FORCE_FIELD_STEPS)] if has(whole) else [-1]
    if -1 in left:
        other = "none or UFF" if force_field == "MMFF94" else "none"
        raise ToolError(
            f"{force_field} has no parameters for {smiles}",
            hint=f"set force_field to {other}",
            kind="NotParametrised",
        )
    return [status == 0 for status in left]

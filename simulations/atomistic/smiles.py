"""A first geometry of a molecule from its SMILES, with RDKit."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from simulations.errors import ToolError
from simulations.extras import need

FORCE_FIELD_STEPS = 2000
HINT = "check the SMILES; or give the geometry as a file with structure"


def molecule_from_smiles(smiles: str, seed: int, charge: int | None) -> Atoms:
    """Embeds a molecule with ETKDGv3 (J. Chem. Inf. Model. 2020, 60, 2044) and relaxes that with MMFF94.

    Args:
        smiles: One molecule or several, without spaces.
        seed: Of the embedding.
        charge: Total charge that the calculator will be told, in e; None if it takes none.

    Returns:
        Atoms in vacuum, hydrogens included.

    Raises:
        ToolError: ``BadSmiles``, ``BadCharge``, ``EmbeddingFailed``, ``NotParametrised``, ``NotConverged``,
            ``RdkitFailed`` or ``MissingExtra``.
    """
    chem = need("rdkit.Chem.AllChem", "chem")
    base = need("rdkit.rdBase", "chem")
    with base.BlockLogs():
        try:
            return _embedded(chem, smiles, seed, charge)
        except ToolError:
            raise
        except Exception as error:  # noqa: BLE001, RUF100  (C++ code raises what it likes)
            # `from None`: some of RDKit's exceptions cannot be pickled, and a cause travels along.
            raise ToolError(
                f"RDKit failed with {smiles}: {type(error).__name__}: {str(error).strip() or 'no reason given'}",
                hint=HINT,
                kind="RdkitFailed",
            ) from None


def _embedded(chem: Any, smiles: str, seed: int, charge: int | None) -> Atoms:
    parsed = chem.MolFromSmiles(smiles)
    if parsed is None:
        raise ToolError(
            f"{smiles!r} is no SMILES of a possible molecule",
            hint="check brackets, ring closures, valences and aromatic rings",
            kind="BadSmiles",
        )
    formal = chem.GetFormalCharge(parsed)
    if charge is not None and charge != formal:
        raise ToolError(
            f"the SMILES {smiles} has charge {formal:+d}, but the input charge says {charge:+d}",
            hint="give the same charge in both",
            kind="BadCharge",
            details={"smiles_charge": formal, "charge": charge},
        )
    whole = chem.AddHs(parsed)
    parameters = chem.ETKDGv3()
    parameters.randomSeed = seed
    if chem.EmbedMolecule(whole, parameters) != 0:
        raise ToolError(
            f"no geometry of {smiles} was found with conformer_seed {seed}",
            hint=f"try another conformer_seed; {HINT}",
            kind="EmbeddingFailed",
            details={"conformer_seed": seed},
        )
    if not chem.MMFFHasAllMoleculeParams(whole):
        raise ToolError(f"MMFF94 has no parameters for {smiles}", hint=HINT, kind="NotParametrised")
    if chem.MMFFOptimizeMolecule(whole, maxIters=FORCE_FIELD_STEPS) != 0:
        raise ToolError(
            f"MMFF94 did not relax {smiles} in {FORCE_FIELD_STEPS} steps",
            hint=f"try another conformer_seed; {HINT}",
            kind="NotConverged",
            details={"steps": FORCE_FIELD_STEPS},
        )
    positions = np.array(whole.GetConformer().GetPositions(), dtype=np.float64)
    return Atoms(numbers=[atom.GetAtomicNum() for atom in whole.GetAtoms()], positions=positions)

"""``python -m director.interfaces.embedding``: a first geometry of the SMILES on standard input, as JSON."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from simulations.errors import ToolError


def embedded(smiles: str, seed: int) -> dict[str, Any]:
    """A first geometry.

    Returns:
        ``smiles`` (canonical), ``formula``, ``n_atoms``, ``charge`` in e, ``xyz`` (text of an XYZ file, in Å) and
        ``method``; or ``problem``: what is wrong, and what to do.
    """
    import ase.io

    from simulations.atomistic.smiles import molecule_from_smiles
    from simulations.extras import need

    try:
        atoms = molecule_from_smiles(smiles, seed, None)
        chem = need("rdkit.Chem", "chem")
        parsed = chem.MolFromSmiles(smiles)
        text = io.StringIO()
        ase.io.write(text, atoms, format="xyz", comment="ETKDGv3 and MMFF94, positions in Angstrom")
        return {
            "smiles": chem.MolToSmiles(parsed),
            "formula": need("rdkit.Chem.rdMolDescriptors", "chem").CalcMolFormula(parsed),
            "n_atoms": len(atoms),
            "charge": chem.GetFormalCharge(parsed),
            "method": "RDKit: ETKDGv3, relaxed with MMFF94. A start for `relax`, no result of quantum chemistry.",
            "xyz": text.getvalue(),
        }
    except ToolError as error:
        return {"problem": [str(error), error.hint]}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(embedded(asked["smiles"], asked["seed"]), sys.stdout)

"""Ionization energies, computed here from RDKit, ASE and tblite alone: nothing of the product is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any


def ionization_energies_ev(smiles: Iterable[str]) -> dict[str, float]:
    """Vertical ionization energies in eV, by SMILES; computed in a process of its own, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *smiles]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=600)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ionization_energy_ev(smiles: str) -> float:
    """Vertical ionization energy of a closed-shell molecule with GFN2-xTB, in eV: relaxed neutral, then its cation."""
    from ase import Atoms
    from ase.optimize import LBFGSLineSearch
    from rdkit.Chem import AllChem
    from tblite.ase import TBLite

    molecule = AllChem.AddHs(AllChem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = 1
    assert AllChem.EmbedMolecule(molecule, parameters) == 0
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]

    def atoms(positions: Any, charge: int) -> Any:
        made = Atoms(numbers=numbers, positions=positions)
        made.calc = TBLite(method="GFN2-xTB", charge=charge, multiplicity=1 + charge, verbosity=0)
        return made

    neutral = atoms(molecule.GetConformer().GetPositions(), 0)
    LBFGSLineSearch(neutral, logfile=None).run(fmax=0.005, steps=500)
    relaxed = neutral.get_positions()
    return float(atoms(relaxed, 1).get_potential_energy() - atoms(relaxed, 0).get_potential_energy())


if __name__ == "__main__":
    sys.stdout.write(json.dumps({one: ionization_energy_ev(one) for one in sys.argv[1:]}))

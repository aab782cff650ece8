"""Writes what is known to be there beside the campaign files: molecules above the threshold, ordered alloys by EMT.

python examples/campaigns/known.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

import campaigns.molecules
from campaigns.crystals import Crystal
from campaigns.crystals.evaluating import ToolSettings, evaluate_here, relaxed_crystal

HERE = Path(__file__).parent
AU_CU3 = (3.75, [(1, 0, 0), (0, 1, 0), (0.5, 0.5, 1)], "AuCu3", [(0, 0, 0), (0, 0, 1), (0, 0.5, 0.5), (0.5, 0, 0.5)])
AU_CU = (3.87, [(1, 0, 0), (0, 1, 0), (0, 0, 1)], "Au2Cu2", [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
"""D0_22 and L1_0: a first lattice constant in Å; in its unit cell vectors and places; atoms in their order. With EMT
D0_22 lies 0.4 meV/atom below L1_2, which nature prefers."""
SUCCESS_EV = 16.0


def alloys() -> list[dict[str, Any]]:
    """The ordered alloys, relaxed with their cells, to six decimals."""
    settings = ToolSettings("relax", "emt", None, "known.py")
    found = []
    for lattice, cell, species, places in (AU_CU3, AU_CU):
        first = Atoms(species, positions=lattice * np.array(places), cell=lattice * np.array(cell), pbc=True)
        relaxed = relaxed_crystal(evaluate_here(settings, Crystal.from_ase(first)))
        if relaxed is None:
            raise SystemExit(f"{species}: the result has no structure")
        found.append({name: rounded(value) for name, value in relaxed.to_json().items()})
    return found


def molecules() -> list[dict[str, Any]]:
    """Molecules of the shipped list whose ionization energy is at least `SUCCESS_EV`, highest first."""
    path = Path(campaigns.molecules.__file__).parent / "data" / "small-organics.json"
    energies: dict[str, float] = json.loads(path.read_text())["ionization_energy_ev"]
    best = sorted(energies, key=lambda smiles: -energies[smiles])
    return [{"smiles": smiles} for smiles in best if energies[smiles] >= SUCCESS_EV]


def rounded(value: Any) -> Any:
    """Numbers to six decimals."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 6) + 0.0 if isinstance(value, float) else value


def write(name: str, candidates: list[dict[str, Any]], source: str) -> None:
    """Writes one file."""
    document = {"systems": {"default": {"candidates": candidates, "source": source}}}
    (HERE / name).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    write("cu-au-known.json", alloys(), "D0_22 AuCu3 and L1_0 AuCu, relaxed with EMT")
    write("molecules-known.json", molecules(), f"at least {SUCCESS_EV} eV, computed of all 64 molecules")

"""Computes the ionization energies of the shipped list by the Tool, and writes them beside this script."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from campaigns.molecules.smiles_list import read_list
from simulations.ionization import TOOL, IonizationRequest
from simulations.workspace import Resources, Workspace

LIST = "small-organics"
DIGITS = 6


def ionization_energy_ev(smiles: str) -> float:
    """What the Tool finds with its default inputs, in eV."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "work", Path(folder), Resources("build", "build/0"))
        return float(TOOL.run(IonizationRequest(smiles=smiles), workspace).ionization_energy_ev)


def reference() -> dict[str, Any]:
    """The document."""
    found = {
        one.smiles: round(ionization_energy_ev(one.smiles), DIGITS) for one in read_list(LIST, duplicates="refuse")
    }
    return {
        "about": "Vertical GFN2-xTB ionization energies in eV (raw) by the Tool ionization_energy with default inputs; "
        "made by campaigns/molecules/data/build.py",
        "tool": TOOL.name,
        "tool_version": TOOL.version,
        "versions": {name: version(name) for name in ("rdkit", "tblite")},
        "ionization_energy_ev": found,
    }


def main() -> None:
    """Writes the file."""
    text = json.dumps(reference(), indent=1) + "\n"
    (Path(__file__).parent / f"{LIST}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

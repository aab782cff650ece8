"""Makes the shipped structures from ideal internal coordinates: ``python simulations/structures/build.py``.

`simulations.md.peptide` places the heavy atoms; OpenMM adds hydrogens for pH 7 and minimises with ff14SB in implicit
solvent (OBC2), 500 iterations at most.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import openmm as mm
from openmm import app, unit

from simulations.md.peptide import heavy_atoms, topology_of

PEPTIDES: dict[str, tuple[list[str], float, float]] = {
    "alanine-dipeptide": (["ACE", "ALA", "NME"], -80.0, 80.0),
    "ala10": (["ACE", *["ALA"] * 10, "NME"], -57.0, -47.0),
    "chignolin": (["GLY", "TYR", "ASP", "PRO", "GLU", "THR", "GLY", "THR", "TRP", "GLY"], -120.0, 130.0),
}
"""Residues, phi and psi."""


def build(sequence: list[str], phi: float, psi: float) -> tuple[Any, Any]:
    """Topology and minimised positions with hydrogens."""
    topology, heavy = topology_of(sequence, heavy_atoms(sequence, phi, psi))
    modeller = app.Modeller(topology, heavy * unit.nanometer)
    force_field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
    random.seed(1)
    modeller.addHydrogens(force_field, pH=7.0, platform=mm.Platform.getPlatformByName("Reference"))
    system = force_field.createSystem(modeller.topology)
    context = mm.Context(system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("Reference"))
    context.setPositions(modeller.positions)
    mm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
    return modeller.topology, context.getState(positions=True).getPositions(asNumpy=True)


def main() -> None:
    """Writes each structure beside this script."""
    for name, (sequence, phi, psi) in PEPTIDES.items():
        topology, positions = build(sequence, phi, psi)
        centred = positions - positions.mean(axis=0)
        with (Path(__file__).parent / f"{name}.pdb").open("w") as stream:
            stream.write(f"REMARK   1 {name} of md-director, made by simulations/structures/build.py\n")
            app.PDBFile.writeModel(topology, centred, stream)
            app.PDBFile.writeFooter(topology, stream)


if __name__ == "__main__":
    main()

"""Makes the shipped structures from ideal internal coordinates: ``python simulations/structures/build.py``.

Heavy atoms are placed one by one from a bond, an angle and a torsion (Parsons et al., J. Comput. Chem. 26 (2005)
1063). Backbone geometry is that of Engh and Huber, Acta Cryst. A47 (1991) 392, rounded; side chains are extended.
OpenMM adds hydrogens for pH 7 and minimises with ff14SB in implicit solvent (OBC2), 500 iterations at most.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import openmm as mm
from numpy.typing import NDArray
from openmm import app, unit

Placement = tuple[str, str, str, str, float, float, float]
"""Atom, then bonded, angle and torsion partner, bond in Å, angle and torsion in degrees."""

# From each residue's N, CA and C: CB at -122.6° about N-C-CA is what makes an amino acid L.
CB: Placement = ("CB", "CA", "C", "N", 1.53, 110.1, 122.6)
SIDE_CHAINS: dict[str, list[Placement]] = {
    "GLY": [],
    "ALA": [CB],
    "ASP": [
        CB,
        ("CG", "CB", "CA", "N", 1.52, 113.0, 180.0),
        ("OD1", "CG", "CB", "CA", 1.25, 118.0, 0.0),
        ("OD2", "CG", "CB", "CA", 1.25, 118.0, 180.0),
    ],
    "GLU": [
        CB,
        ("CG", "CB", "CA", "N", 1.52, 114.0, 180.0),
        ("CD", "CG", "CB", "CA", 1.52, 113.0, 180.0),
        ("OE1", "CD", "CG", "CB", 1.25, 118.0, 0.0),
        ("OE2", "CD", "CG", "CB", 1.25, 118.0, 180.0),
    ],
    # 2S,3R: seen along CB-CA, CG2 stands 120° after OG1 in the sense that the torsions below count.
    "THR": [CB, ("OG1", "CB", "CA", "N", 1.43, 109.6, 60.0), ("CG2", "CB", "CA", "N", 1.52, 110.5, -60.0)],
    "PRO": [CB, ("CG", "CB", "CA", "N", 1.50, 104.5, 30.0), ("CD", "CG", "CB", "CA", 1.51, 105.0, -37.0)],
    "TYR": [
        CB,
        ("CG", "CB", "CA", "N", 1.51, 113.8, 180.0),
        ("CD1", "CG", "CB", "CA", 1.39, 120.0, 90.0),
        ("CD2", "CG", "CB", "CA", 1.39, 120.0, -90.0),
        ("CE1", "CD1", "CG", "CB", 1.39, 120.0, 180.0),
        ("CE2", "CD2", "CG", "CB", 1.39, 120.0, 180.0),
        ("CZ", "CE1", "CD1", "CG", 1.39, 120.0, 0.0),
        ("OH", "CZ", "CE1", "CD1", 1.37, 120.0, 180.0),
    ],
    "TRP": [
        CB,
        ("CG", "CB", "CA", "N", 1.50, 113.6, 180.0),
        ("CD1", "CG", "CB", "CA", 1.37, 127.0, 90.0),
        ("CD2", "CG", "CB", "CA", 1.43, 126.5, -90.0),
        ("NE1", "CD1", "CG", "CB", 1.38, 110.2, 180.0),
        ("CE2", "CD2", "CG", "CB", 1.40, 107.2, 180.0),
        ("CE3", "CD2", "CG", "CB", 1.40, 133.9, 0.0),
        ("CZ2", "CE2", "CD2", "CG", 1.40, 122.4, 180.0),
        ("CZ3", "CE3", "CD2", "CG", 1.38, 118.6, 180.0),
        ("CH2", "CZ2", "CE2", "CD2", 1.37, 117.5, 0.0),
    ],
}
PEPTIDES: dict[str, tuple[list[str], float, float]] = {
    "alanine-dipeptide": (["ACE", "ALA", "NME"], -80.0, 80.0),
    "ala10": (["ACE", *["ALA"] * 10, "NME"], -57.0, -47.0),
    "chignolin": (["GLY", "TYR", "ASP", "PRO", "GLU", "THR", "GLY", "THR", "TRP", "GLY"], -120.0, 130.0),
}
"""Residues, phi and psi. Proline's ring holds its phi near -65° whatever is asked for here."""
PROLINE_PHI = -65.0

Atoms = dict[str, NDArray[np.float64]]


def place(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], bond: float, angle: float, torsion: float) -> NDArray[Any]:
    """Places d at the bond length from a, with angle d-a-b and torsion d-a-b-c (degrees)."""
    angle, torsion = np.radians(angle), np.radians(torsion)
    axis = (a - b) / np.linalg.norm(a - b)
    normal = np.cross(b - c, axis)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, axis)
    offset = -np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * side + np.sin(torsion) * normal)
    return np.asarray(a + bond * offset)


def heavy_atoms(sequence: list[str], phi: float, psi: float) -> list[Atoms]:
    """Coordinates of all heavy atoms in Å, by residue and name, with trans peptide bonds."""
    residues: list[Atoms] = []
    previous: Atoms = {}
    for index, name in enumerate(sequence):
        atoms: Atoms = {}
        if not previous:
            first, second = ("CH3", "C") if name == "ACE" else ("N", "CA")
            atoms[first], atoms[second] = np.zeros(3), np.array([1.5, 0.0, 0.0])
            third = "O" if name == "ACE" else "C"
            atoms[third] = atoms[second] + [0.6, 1.2 if name == "ACE" else 1.4, 0.0]
        else:
            back = previous["CA" if "CA" in previous else "CH3"]
            if "N" in previous:
                atoms["N"] = place(previous["C"], back, previous["N"], 1.33, 116.6, psi)
            else:
                atoms["N"] = _opposite(previous["C"], back, previous["O"])
            following = "C" if name == "NME" else "CA"
            atoms[following] = place(atoms["N"], previous["C"], back, 1.46, 121.7, 180.0)
            if name != "NME":
                turn = PROLINE_PHI if name == "PRO" else phi
                atoms["C"] = place(atoms["CA"], atoms["N"], previous["C"], 1.525, 111.0, turn)
        if "CA" in atoms:
            last = index == len(sequence) - 1
            atoms["O"] = place(atoms["C"], atoms["CA"], atoms["N"], 1.23, 120.1, psi + 180.0)
            if last:
                atoms["OXT"] = place(atoms["C"], atoms["CA"], atoms["N"], 1.25, 117.0, psi)
            for atom, bonded, angle_to, torsion_to, *values in SIDE_CHAINS[name]:
                atoms[atom] = place(atoms[bonded], atoms[angle_to], atoms[torsion_to], *values)
        residues.append(atoms)
        previous = atoms
    return residues


def _opposite(carbon: NDArray[Any], methyl: NDArray[Any], oxygen: NDArray[Any]) -> NDArray[Any]:
    """The third direction of a planar carbon: ACE has no N from which a psi could be counted."""
    axis = (carbon - methyl) / np.linalg.norm(carbon - methyl)
    other = (carbon - oxygen) / np.linalg.norm(carbon - oxygen)
    bisector = axis + other
    return np.asarray(carbon + 1.33 * bisector / np.linalg.norm(bisector))


def build(sequence: list[str], phi: float, psi: float) -> tuple[Any, Any]:
    """Topology and minimised positions with hydrogens."""
    topology = app.Topology()
    chain = topology.addChain("A")
    positions = []
    for index, (name, atoms) in enumerate(zip(sequence, heavy_atoms(sequence, phi, psi), strict=True)):
        residue = topology.addResidue(name, chain, str(index + 1))
        for atom, position in atoms.items():
            topology.addAtom(atom, app.Element.getBySymbol(atom[0]), residue)
            positions.append(position / 10)
    topology.createStandardBonds()
    modeller = app.Modeller(topology, np.array(positions) * unit.nanometer)
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

"""Peptides from their sequence: heavy atoms from ideal bonds, angles and torsions.

Atoms are placed one by one (Parsons et al., J. Comput. Chem. 26 (2005) 1063). Backbone geometry is that of Engh and
Huber, Acta Cryst. A47 (1991) 392, rounded; bonds and angles of side chains likewise. Side chains are extended, and
turned about their first two bonds where they would meet other atoms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openmm import app

Placement = tuple[str, str, str, str, float, float, float]
"""Atom, then bonded, angle and torsion partner, bond in Å, angle and torsion in degrees."""
Atoms = dict[str, NDArray[np.float64]]
"""Coordinates of a residue's atoms in Å, by name."""

AMINO_ACIDS = {
    "A": "ALA",
    "R": "ARG",
    "N": "ASN",
    "D": "ASP",
    "C": "CYS",
    "Q": "GLN",
    "E": "GLU",
    "G": "GLY",
    "H": "HIS",
    "I": "ILE",
    "L": "LEU",
    "K": "LYS",
    "M": "MET",
    "F": "PHE",
    "P": "PRO",
    "S": "SER",
    "T": "THR",
    "W": "TRP",
    "Y": "TYR",
    "V": "VAL",
}
"""Residue names by one-letter code."""

CONFORMATIONS = {"extended": (-120.0, 130.0), "helix": (-57.0, -47.0)}
"""Phi and psi in degrees. Proline's ring holds its phi near -65° whatever is asked for here."""
PROLINE_PHI = -65.0
CLEAR_ANGSTROM = 2.6
"""A side chain that stays so far from all other residues is left extended: minimisation mends such contacts, and
nothing is threaded through a ring, whose atoms are 1.4 Å from its centre."""
TURNS = (0.0, 120.0, -120.0)

# From each residue's N, CA and C: CB at -122.6° about N-C-CA is what makes an amino acid L.
CB: Placement = ("CB", "CA", "C", "N", 1.53, 110.1, 122.6)


def _cg(bond: float, angle: float, torsion: float = 180.0, name: str = "CG") -> Placement:
    return (name, "CB", "CA", "N", bond, angle, torsion)


def _ring(cg: Placement) -> list[Placement]:
    """The six-membered ring of phenylalanine and tyrosine."""
    return [
        CB,
        cg,
        ("CD1", "CG", "CB", "CA", 1.39, 120.0, 90.0),
        ("CD2", "CG", "CB", "CA", 1.39, 120.0, -90.0),
        ("CE1", "CD1", "CG", "CB", 1.39, 120.0, 180.0),
        ("CE2", "CD2", "CG", "CB", 1.39, 120.0, 180.0),
        ("CZ", "CE1", "CD1", "CG", 1.39, 120.0, 0.0),
    ]


SIDE_CHAINS: dict[str, list[Placement]] = {
    "GLY": [],
    "ALA": [CB],
    "SER": [CB, _cg(1.42, 111.1, name="OG")],
    "CYS": [CB, _cg(1.81, 114.4, name="SG")],
    # 2S,3R: seen along CB-CA, CG2 stands 120° after OG1 in the sense that the torsions below count.
    "THR": [CB, _cg(1.43, 109.6, 60.0, "OG1"), _cg(1.52, 110.5, -60.0, "CG2")],
    "VAL": [CB, _cg(1.52, 110.5, 180.0, "CG1"), _cg(1.52, 110.5, -60.0, "CG2")],
    # 2S,3S
    "ILE": [
        CB,
        _cg(1.53, 110.4, 180.0, "CG1"),
        _cg(1.52, 110.5, 60.0, "CG2"),
        ("CD1", "CG1", "CB", "CA", 1.51, 113.8, 180.0),
    ],
    "LEU": [
        CB,
        _cg(1.53, 116.3),
        ("CD1", "CG", "CB", "CA", 1.52, 110.7, 180.0),
        ("CD2", "CG", "CB", "CA", 1.52, 110.7, -60.0),
    ],
    "PRO": [CB, _cg(1.50, 104.5, 30.0), ("CD", "CG", "CB", "CA", 1.51, 105.0, -37.0)],
    "MET": [
        CB,
        _cg(1.52, 114.1),
        ("SD", "CG", "CB", "CA", 1.80, 112.7, 180.0),
        ("CE", "SD", "CG", "CB", 1.79, 100.9, 180.0),
    ],
    "ASP": [
        CB,
        _cg(1.52, 113.0),
        ("OD1", "CG", "CB", "CA", 1.25, 118.0, 0.0),
        ("OD2", "CG", "CB", "CA", 1.25, 118.0, 180.0),
    ],
    "ASN": [
        CB,
        _cg(1.52, 112.6),
        ("OD1", "CG", "CB", "CA", 1.23, 120.8, 0.0),
        ("ND2", "CG", "CB", "CA", 1.33, 116.4, 180.0),
    ],
    "GLU": [
        CB,
        _cg(1.52, 114.0),
        ("CD", "CG", "CB", "CA", 1.52, 113.0, 180.0),
        ("OE1", "CD", "CG", "CB", 1.25, 118.0, 0.0),
        ("OE2", "CD", "CG", "CB", 1.25, 118.0, 180.0),
    ],
    "GLN": [
        CB,
        _cg(1.52, 114.1),
        ("CD", "CG", "CB", "CA", 1.52, 112.6, 180.0),
        ("OE1", "CD", "CG", "CB", 1.23, 120.8, 0.0),
        ("NE2", "CD", "CG", "CB", 1.33, 116.4, 180.0),
    ],
    "LYS": [
        CB,
        _cg(1.52, 114.1),
        ("CD", "CG", "CB", "CA", 1.52, 111.3, 180.0),
        ("CE", "CD", "CG", "CB", 1.52, 111.3, 180.0),
        ("NZ", "CE", "CD", "CG", 1.49, 111.9, 180.0),
    ],
    "ARG": [
        CB,
        _cg(1.52, 114.1),
        ("CD", "CG", "CB", "CA", 1.52, 111.3, 180.0),
        ("NE", "CD", "CG", "CB", 1.46, 112.0, 180.0),
        ("CZ", "NE", "CD", "CG", 1.33, 124.2, 180.0),
        ("NH1", "CZ", "NE", "CD", 1.33, 120.0, 0.0),
        ("NH2", "CZ", "NE", "CD", 1.33, 120.0, 180.0),
    ],
    "HIS": [
        CB,
        _cg(1.50, 113.8),
        ("ND1", "CG", "CB", "CA", 1.38, 122.7, 90.0),
        ("CD2", "CG", "CB", "CA", 1.36, 131.2, -90.0),
        ("CE1", "ND1", "CG", "CB", 1.32, 109.3, 180.0),
        ("NE2", "CD2", "CG", "CB", 1.37, 107.2, 180.0),
    ],
    "PHE": _ring(_cg(1.50, 113.8)),
    "TYR": [*_ring(_cg(1.51, 113.8)), ("OH", "CZ", "CE1", "CD1", 1.37, 120.0, 180.0)],
    "TRP": [
        CB,
        _cg(1.50, 113.6),
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
"""Side chains by residue, each atom after those that it is placed from."""


def residue_names(sequence: str, n_terminus: str, c_terminus: str) -> list[str]:
    """Residue names of a sequence in one-letter code, with caps where an end is not ``free``."""
    names = [AMINO_ACIDS[letter] for letter in sequence]
    return [n_terminus] * (n_terminus != "free") + names + [c_terminus] * (c_terminus != "free")


def place(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], bond: float, angle: float, torsion: float) -> NDArray[Any]:
    """Places d at the bond length from a, with angle d-a-b and torsion d-a-b-c (degrees)."""
    angle, torsion = np.radians(angle), np.radians(torsion)
    axis = (a - b) / np.linalg.norm(a - b)
    normal = np.cross(b - c, axis)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, axis)
    offset = -np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * side + np.sin(torsion) * normal)
    return np.asarray(a + bond * offset)


def heavy_atoms(sequence: Sequence[str], phi: float, psi: float) -> list[Atoms]:
    """Coordinates of all heavy atoms, with trans peptide bonds.

    Args:
        sequence: Residue names; ACE first and NME last are caps.
        phi: Torsion C-N-CA-C of the backbone in degrees.
        psi: Torsion N-CA-C-N in degrees.

    Returns:
        For each residue the coordinates of its atoms in Å, by name.
    """
    residues = _backbone(sequence, phi, psi)
    for index, name in enumerate(sequence):
        if name in SIDE_CHAINS:
            residues[index] |= _clear_side_chain(name, residues, index)
            _put_last(residues[index], "OXT")
    return residues


def topology_of(sequence: Sequence[str], residues: Sequence[Atoms]) -> tuple[Any, NDArray[np.float64]]:
    """An OpenMM Topology of one chain A, numbered from 1, with its bonds; and coordinates in nm, shape (atoms, 3)."""
    topology = app.Topology()
    chain = topology.addChain("A")
    positions = []
    for index, (name, atoms) in enumerate(zip(sequence, residues, strict=True)):
        residue = topology.addResidue(name, chain, str(index + 1))
        for atom, position in atoms.items():
            topology.addAtom(atom, app.Element.getBySymbol(atom[0]), residue)
            positions.append(position / 10)
    topology.createStandardBonds()
    return topology, np.array(positions)


def _put_last(atoms: Atoms, name: str) -> None:
    if name in atoms:
        atoms[name] = atoms.pop(name)


def _backbone(sequence: Sequence[str], phi: float, psi: float) -> list[Atoms]:
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
            atoms["O"] = place(atoms["C"], atoms["CA"], atoms["N"], 1.23, 120.1, psi + 180.0)
            if index == len(sequence) - 1:
                atoms["OXT"] = place(atoms["C"], atoms["CA"], atoms["N"], 1.25, 117.0, psi)
        residues.append(atoms)
        previous = atoms
    return residues


def _opposite(carbon: NDArray[Any], methyl: NDArray[Any], oxygen: NDArray[Any]) -> NDArray[Any]:
    """The third direction of a planar carbon: ACE has no N from which a psi could be counted."""
    axis = (carbon - methyl) / np.linalg.norm(carbon - methyl)
    other = (carbon - oxygen) / np.linalg.norm(carbon - oxygen)
    bisector = axis + other
    return np.asarray(carbon + 1.33 * bisector / np.linalg.norm(bisector))


def _clear_side_chain(name: str, residues: Sequence[Atoms], index: int) -> Atoms:
    """The first rotamer of a side chain that is clear of all other residues' atoms; the clearest, if there is none."""
    others = np.array([at for number, atoms in enumerate(residues) if number != index for at in atoms.values()])
    best, most = {}, -1.0
    for side_chain in _rotamers(name, residues[index]):
        if not side_chain or not len(others):
            return side_chain
        offsets = np.array(list(side_chain.values()))[:, None] - others
        clearance = float(np.sqrt((offsets**2).sum(axis=2)).min())
        if clearance >= CLEAR_ANGSTROM:
            return side_chain
        if clearance > most:
            best, most = side_chain, clearance
    return best


def _rotamers(name: str, backbone: Atoms) -> Iterator[Atoms]:
    placements = SIDE_CHAINS[name]
    turns = TURNS if name != "PRO" else TURNS[:1]  # a ring that closes on the backbone turns about nothing
    second = any(torsion_to == "CA" for _, _, _, torsion_to, *_ in placements)
    for about_cb, about_cg in product(turns, turns if second else TURNS[:1]):
        turned = {"N": about_cb, "CA": about_cg}
        atoms = dict(backbone)
        for atom, bonded, angle_to, torsion_to, bond, angle, torsion in placements:
            turn = 0.0 if atom == "CB" else turned.get(torsion_to, 0.0)
            atoms[atom] = place(atoms[bonded], atoms[angle_to], atoms[torsion_to], bond, angle, torsion + turn)
        yield {atom: at for atom, at in atoms.items() if atom not in backbone}

"""Secondary structure of the frames, by MDTraj's DSSP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.extras import need
from simulations.md.analysis import Array

BACKBONE = frozenset({"N", "CA", "C", "O"})
CODES = ("H", "E", "C")
"""MDTraj's three kinds: helix (DSSP's H, G, I), strand (E, B), coil (the others)."""


def is_amino_acid(residue: Any) -> bool:
    """Whether an OpenMM residue has the atoms by which DSSP knows an amino acid."""
    return {atom.name for atom in residue.atoms()} >= BACKBONE


def backbone(residue: Any) -> list[Any]:
    """Those of a residue's atoms that DSSP looks at. It places the hydrogens itself."""
    return [atom for atom in residue.atoms() if atom.name in BACKBONE and atom.element is not None]


def shares(residues: Sequence[Any], pieces: Callable[[], Iterable[Array]]) -> tuple[Array, NDArray[np.bool_], int]:
    """Of each residue the share of frames in helix, strand and coil.

    DSSP: W. Kabsch & C. Sander, Biopolymers 22 (1983) 2577.

    Args:
        residues: OpenMM's residues, those of a chain one after another.
        pieces: Gives coordinates in nm of the residues' `backbone` atoms, some frames at a time, shape
            (frames, atoms, 3).

    Returns:
        Shares, shape (residues, 3) in the order of `CODES`; which residues are amino acids; and the number of frames.

    Raises:
        ToolError: ``MissingExtra``.
    """
    mdtraj = need("mdtraj", "analysis")
    topology = _topology(mdtraj, residues)
    counts = np.zeros((len(residues), len(CODES)))
    frames, amino = 0, np.zeros(len(residues), dtype=np.bool_)
    for piece in pieces():
        codes = mdtraj.compute_dssp(mdtraj.Trajectory(piece.astype(np.float32), topology), simplified=True)
        counts += np.stack([(codes == code).sum(axis=0) for code in CODES], axis=1)
        amino = codes[0] != "NA"
        frames += len(piece)
    result: Array = counts / frames
    return result, amino, frames


def _topology(mdtraj: Any, residues: Sequence[Any]) -> Any:
    topology = mdtraj.Topology()
    chains: dict[int, Any] = {}
    for residue in residues:
        if residue.chain.index not in chains:
            chains[residue.chain.index] = topology.add_chain()
        added = topology.add_residue(residue.name, chains[residue.chain.index])
        for atom in backbone(residue):
            topology.add_atom(atom.name, mdtraj.element.get_by_symbol(atom.element.symbol), added)
    return topology

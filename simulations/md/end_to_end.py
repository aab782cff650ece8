"""The distance between the ends of a peptide, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from simulations.md.analysis import Array
from simulations.md.secondary_structure import is_amino_acid
from simulations.md.statistics import RunningStatistics


def ends(residues: Sequence[Any]) -> tuple[int, int] | str:
    """The atoms between which the distance is taken.

    Args:
        residues: OpenMM's residues of the solute, those of a chain one after another.

    Returns:
        Indices of the C-alpha atoms of the first and the last amino acid of the only chain that has two or more; or
        why there are no such atoms. Caps (ACE, NME) are no amino acids.
    """
    chains: dict[int, list[int]] = {}
    for residue in residues:
        if is_amino_acid(residue):
            alpha = next(atom.index for atom in residue.atoms() if atom.name == "CA")
            chains.setdefault(residue.chain.index, []).append(alpha)
    long = [alphas for alphas in chains.values() if len(alphas) > 1]
    if not long:
        return "there is no chain of two amino acids or more"
    if len(long) > 1:
        return f"there are {len(long)} chains, and so no one pair of ends"
    return long[0][0], long[0][-1]


def distances(pieces: Callable[[], Iterable[Array]]) -> RunningStatistics:
    """Statistics of the distance.

    Args:
        pieces: Gives coordinates in nm of the two ends, some frames at a time, shape (frames, 2, 3).

    Returns:
        Statistics in nm, over all frames in their order.
    """
    statistics = RunningStatistics()
    for piece in pieces():
        for length in np.linalg.norm(piece[:, 1] - piece[:, 0], axis=1):
            statistics.add(float(length))
    return statistics

"""The analysis at the end of a run: read from the trajectory, so it is the same however often that was interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulations.errors import ToolError
from simulations.md import end_to_end, secondary_structure
from simulations.md.analysis import Array
from simulations.md.averages import Averages
from simulations.md.fluctuations import square_fluctuations
from simulations.md.results import MdAnalysis, MeanStd, ResidueAnalysis, SecondaryStructure
from simulations.md.start import Start
from simulations.md.statistics import RunningStatistics
from simulations.md.structure import is_solvent
from simulations.md.trajectory import Trajectory

DSSP_MOST_FRAMES = 1000
"""It is asked about so many frames at most, for it takes longer than the steps between frames that are close."""


@dataclass(frozen=True)
class Conclusion:
    """What the trajectory says as a whole.

    Attributes:
        rmsf_nm: Over the solute's heavy atoms.
        secondary_structure: Shares over residues and frames.
        end_to_end_distance_nm: Of the solute's chain, over the frames.
        analysis: Content of the artifact.
    """

    rmsf_nm: float | None
    secondary_structure: SecondaryStructure | None
    end_to_end_distance_nm: MeanStd | None
    analysis: MdAnalysis


@dataclass(frozen=True)
class _Folds:
    total: SecondaryStructure | None
    shares: dict[int, Array]
    reason: str | None


def conclude(trajectory: Trajectory, start: Start, averages: Averages, stop_if_asked: Callable[[], None]) -> Conclusion:
    """Analyses a trajectory. What is in memory at once does not grow with its length.

    Args:
        trajectory: All its frames, at least one.
        start: Where it started.
        averages: What was counted of its frames.
        stop_if_asked: Called often; ends the analysis by raising.

    Raises:
        ToolError: ``DiskFailed``.
        OSError: If the trajectory cannot be read.
    """
    residues = [residue for residue in start.prepared.topology.residues() if not is_solvent(residue)]
    missing: dict[str, str] = {}
    squares = _squares(trajectory, start, stop_if_asked, missing)
    folds = _folds(trajectory, residues, stop_if_asked)
    if folds.reason:
        missing["secondary_structure"] = folds.reason
    distance = _end_to_end(trajectory, residues, stop_if_asked, missing)
    blocking = averages.blocking()
    if distance is not None and distance.count > 1:
        blocking["end_to_end_distance_nm"] = distance.blocks()
    analysis = MdAnalysis(
        n_frames=trajectory.n_frames,
        residues=[_residue(residue, squares, folds.shares.get(index)) for index, residue in enumerate(residues)],
        blocking=blocking,
        missing=missing,
    )
    rmsf = math.sqrt(sum(squares.values()) / len(squares)) if squares else None
    return Conclusion(rmsf, folds.total, None if distance is None else distance.result(), analysis)


def _squares(
    trajectory: Trajectory, start: Start, stop_if_asked: Callable[[], None], missing: dict[str, str]
) -> dict[int, float]:
    """Mean square fluctuation in nm² of each heavy atom, by its index in the topology."""
    heavy = start.prepared.heavy
    if not len(heavy):
        missing["rmsf_nm"] = "there is no solute with heavy atoms"
        return {}
    if trajectory.n_frames < 2:
        missing["rmsf_nm"] = "there is one frame only, so nothing fluctuates: lower report_interval_steps"
        return {}

    def pieces() -> Iterator[Array]:
        for piece in trajectory.pieces(heavy):
            stop_if_asked()
            yield piece

    return dict(zip(heavy.tolist(), square_fluctuations(pieces, start.reference).tolist(), strict=True))


def _end_to_end(
    trajectory: Trajectory, residues: Sequence[Any], stop_if_asked: Callable[[], None], missing: dict[str, str]
) -> RunningStatistics | None:
    """Statistics of the distance in nm between the ends of the solute's chain."""
    found = end_to_end.ends(residues)
    if isinstance(found, str):
        missing["end_to_end_distance_nm"] = found
        return None
    atoms = np.array(found)

    def pieces() -> Iterator[Array]:
        for piece in trajectory.pieces(atoms):
            stop_if_asked()
            yield piece

    return end_to_end.distances(pieces)


def _folds(trajectory: Trajectory, residues: Sequence[Any], stop_if_asked: Callable[[], None]) -> _Folds:
    if not any(secondary_structure.is_amino_acid(residue) for residue in residues):
        return _Folds(None, {}, "there is no solute with amino acids")
    atoms = np.array([atom.index for residue in residues for atom in secondary_structure.backbone(residue)])
    every = -(-trajectory.n_frames // DSSP_MOST_FRAMES)

    def pieces() -> Iterator[Array]:
        for piece in trajectory.pieces(atoms, every):
            stop_if_asked()
            yield piece

    try:
        shares, amino, n_frames = secondary_structure.shares(residues, pieces)
    except ToolError as error:
        if error.kind != "MissingExtra":
            raise
        return _Folds(None, {}, f"{error.message}; {error.hint}")
    except ImportError as error:  # it is there and broken; the simulation itself is good
        return _Folds(None, {}, f"MDTraj could not be loaded: {error}")
    helix, strand, coil = (float(share) for share in shares[amino].mean(axis=0))
    total = SecondaryStructure(helix=helix, strand=strand, coil=coil, n_residues=int(amino.sum()), n_frames=n_frames)
    return _Folds(total, {int(index): shares[index] for index in np.flatnonzero(amino)}, None)


def _residue(residue: Any, squares: dict[int, float], share: Array | None) -> ResidueAnalysis:
    atoms = [atom for atom in residue.atoms() if atom.index in squares]
    alpha = next((atom for atom in atoms if atom.name == "CA" and atom.element.symbol == "C"), None)
    helix, strand, coil = (None, None, None) if share is None else (float(part) for part in share)
    return ResidueAnalysis(
        chain=residue.chain.id,
        residue=f"{residue.id}{residue.insertionCode.strip()}",
        name=residue.name,
        rmsf_nm=math.sqrt(sum(squares[atom.index] for atom in atoms) / len(atoms)) if atoms else None,
        rmsf_ca_nm=None if alpha is None else math.sqrt(squares[alpha.index]),
        helix=helix,
        strand=strand,
        coil=coil,
    )

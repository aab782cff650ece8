"""What is known of each composition, as arrays: attempts, successes, best score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.environment import CrystalEnvironment
from campaigns.environment import View


@dataclass(frozen=True)
class Statistics:
    """What is known of the compositions that a planner chooses from. All arrays have one number for each.

    Attributes:
        formulas: Formulas of cells.
        fractions: Shape (compositions, elements): shares of the elements.
        reduced: Numbers of reduced formulas: those of Cu2Au2 and CuAu are equal.
        attempts: How many candidates were evaluated or are being evaluated.
        finished: How many of these are done, failed ones included.
        successes: How many of these were what is looked for.
        best: The best score; NaN where there is none.
        references: Shape (elements, elements): the pure elements, which are always known.
    """

    formulas: Sequence[str]
    fractions: NDArray[np.float64]
    reduced: NDArray[np.int64]
    attempts: NDArray[np.int64]
    finished: NDArray[np.int64]
    successes: NDArray[np.int64]
    best: NDArray[np.float64]
    references: NDArray[np.float64]

    @property
    def success_rate(self) -> NDArray[np.float64]:
        """Successes for each finished attempt; 0 where there was none."""
        return np.asarray(self.successes / np.maximum(self.finished, 1))

    def __len__(self) -> int:
        """How many compositions there are."""
        return len(self.formulas)


def count(
    formulas: Sequence[str],
    index: Mapping[str, int],
    fractions: NDArray[np.float64],
    reduced: NDArray[np.int64],
    view: View[Crystal],
    environment: CrystalEnvironment,
    score_function: str,
) -> Statistics:
    """Counts what a view says of compositions.

    Evaluations of other compositions do not count. Energies above the hull are those above the hull of today, not of
    the day of the observation.

    Args:
        formulas: The compositions.
        index: Place of each formula among them.
        fractions: Shape (compositions, elements).
        reduced: Number of each one's reduced formula.
        view: What is known.
        environment: Its environment.
        score_function: What the best score is the negative of.
    """
    places = np.array([index.get(one.candidate.formula, -1) for one in view.observations], dtype=np.int64)
    known = places >= 0
    pending = np.array([index[one.formula] for one in view.pending if one.formula in index], dtype=np.int64)
    finished = np.bincount(places[known], minlength=len(formulas))
    won = np.array([one.success for one in view.observations], dtype=bool)
    best = np.full(len(formulas), -np.inf)
    scored = [i for i, one in enumerate(view.observations) if known[i] and one.details.get("converged") is True]
    if scored:
        where = places[scored]
        name = "energy_per_atom_ev" if score_function == "energy_per_atom" else "formation_energy_ev_per_atom"
        values = np.array([view.observations[i].details[name] for i in scored], dtype=np.float64)
        if score_function == "e_above_hull":
            values = values - environment.hull.energies(fractions[where])
        np.maximum.at(best, where, -values)
    return Statistics(
        formulas=formulas,
        fractions=fractions,
        reduced=reduced,
        attempts=finished + np.bincount(pending, minlength=len(formulas)),
        finished=finished,
        successes=np.bincount(places[known & won], minlength=len(formulas)),
        best=np.where(np.isfinite(best), best, np.nan),
        references=np.array(environment.reference_fractions),
    )

"""Curves over the evaluations of an episode: what was discovered so far, and the best so far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from campaigns.metrics.episode import Episode

Array = NDArray[np.float64]


def discoveries(episode: Episode, among: Collection[str] | None = None) -> Array:
    """How many different successes there were after each evaluation.

    Args:
        episode: Which episode.
        among: Count these structures only; None: all.

    Returns:
        Shape (budget,). After the last evaluation it stays where it was: an episode that ended early found no more.
    """
    seen: set[str] = set()
    counts = []
    for evaluation in episode.evaluations[: episode.budget]:
        if evaluation.success and (among is None or evaluation.structure in among):
            seen.add(evaluation.structure)
        counts.append(float(len(seen)))
    return _held(counts, episode.budget, 0.0)


def best_found(episode: Episode) -> Array:
    """The greatest score so far after each evaluation.

    Returns:
        Shape (budget,); NaN before the first score. After the last evaluation it stays where it was.
    """
    best = float("nan")
    found = []
    for evaluation in episode.evaluations[: episode.budget]:
        if evaluation.score is not None:
            best = evaluation.score if np.isnan(best) else max(best, evaluation.score)
        found.append(best)
    return _held(found, episode.budget, float("nan"))


def _held(values: Sequence[float], length: int, without: float) -> Array:
    last = values[-1] if values else without
    return np.array([*values, *[last] * (length - len(values))], dtype=np.float64)


@dataclass(frozen=True)
class Band:
    """A curve over episodes. All of shape (evaluations,).

    Attributes:
        mean: Mean over episodes; NaN where any of them has no value yet.
        std: Sample standard deviation; NaN with fewer than two episodes.
        sem: Standard error of the mean; likewise.
        episodes: How many there are.
    """

    mean: Array
    std: Array
    sem: Array
    episodes: int


def band(curves: Sequence[Array]) -> Band:
    """Mean and spread of curves of one length.

    Raises:
        ValueError: If there is none, or they are of different lengths.
    """
    if not curves:
        raise ValueError("there is no curve to take a mean of")
    if len({len(curve) for curve in curves}) != 1:
        raise ValueError("curves of different budgets have no mean: compare episodes of one budget")
    stacked = np.stack(curves)
    n = len(curves)
    std = stacked.std(axis=0, ddof=1) if n > 1 else np.full(stacked.shape[1], np.nan)
    return Band(stacked.mean(axis=0), std, std / np.sqrt(n), n)


def first_reached(curve: Array, level: float) -> int | None:
    """The number of evaluations, from 1, after which a curve that never falls is at a level; None: it never is."""
    # Means of equal numbers may differ in their last digits.
    slack = 1e-12 * max(1.0, abs(level))
    reached = np.flatnonzero(curve >= level - slack)
    return int(reached[0]) + 1 if len(reached) else None

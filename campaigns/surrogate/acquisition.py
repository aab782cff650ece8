"""From a guess of the score, and its uncertainty, to how worth a candidate's evaluation is."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Acquisition = Literal["greedy", "ucb", "expected_improvement"]
ACQUISITIONS: tuple[Acquisition, ...] = ("greedy", "ucb", "expected_improvement")


def acquire(mean: Array, std: Array, best: float, acquisition: Acquisition, exploration_factor: float) -> Array:
    """How worth its evaluation each candidate is, more is better.

    Args:
        mean: Guessed scores, shape (n,).
        std: Their standard deviations, shape (n,).
        best: The best score so far.
        acquisition: ``greedy``: the mean. ``ucb``: the upper confidence bound, mean + exploration_factor · std
            (P. Auer, J. Mach. Learn. Res. 3 (2002) 397; N. Srinivas et al., IEEE Trans. Inf. Theory 58 (2012) 3250).
            ``expected_improvement``: that over the best so far (D. R. Jones, M. Schonlau, W. J. Welch, J. Global Optim.
            13 (1998) 455).
        exploration_factor: Weight of the uncertainty; with ``ucb`` only.

    Returns:
        Shape (n,), in the unit of the score.
    """
    if acquisition == "greedy":
        return mean
    if acquisition == "ucb":
        return mean + exploration_factor * std
    gain = mean - best
    ratio = np.divide(gain, std, out=np.zeros_like(gain), where=std > 0)
    density = np.exp(-0.5 * ratio**2) / np.sqrt(2 * np.pi)
    below = np.array([0.5 * (1 + math.erf(one / math.sqrt(2))) for one in ratio])
    expected: Array = np.where(std > 0, gain * below + std * density, np.maximum(gain, 0.0))
    return expected

"""Areas under discovery curves, and how a policy compares with a baseline.

Enhancement and acceleration factor as B. Rohr et al., Chem. Sci. 11 (2020) 2696, introduced them for sequential
learning beside random choice: the one compares what was reached after as many evaluations, the other how many it took
to reach as much. Q. Liang et al., npj Comput. Mater. 7 (2021) 188, use them likewise, over curves that are means
over episodes.
"""

from __future__ import annotations

import math

import numpy as np

from campaigns.metrics.curves import Array, Band, first_reached
from campaigns.metrics.numbers import Undefined, Value


def area_under_discovery_curve(curve: Array, most: int | None = None) -> Value:
    """AUDC: the area under a discovery curve as a share of the greatest that is possible.

    With D(i) discoveries after i of N evaluations it is Σ D(i) / Σ min(i, K), i = 1 … N: 1 if each evaluation is a
    discovery until all K are found, 0 if there is none. Without K it is N: 2 Σ D(i) / (N (N + 1)).

    Args:
        curve: D, shape (N,); never falls, and rises by 1 at most.
        most: K, how many there are to discover; None: not known.

    Returns:
        From 0 to 1.
    """
    n = len(curve)
    if n == 0:
        return Undefined("the budget is 0")
    if most == 0:
        return Undefined("nothing is known to be there")
    ideal = np.minimum(np.arange(1, n + 1), n if most is None else most).sum()
    return float(curve.sum() / ideal)


def enhancement_factor(curve: Array, baseline: Band) -> Value:
    """EF: discoveries after all evaluations over the baseline's, whose episodes are averaged.

    Args:
        curve: Discoveries of an episode, or their mean over episodes, shape (N,).
        baseline: Of the baseline, N long too.
    """
    theirs = float(baseline.mean[-1])
    if theirs == 0:
        return Undefined("the baseline discovered nothing, so there is nothing to compare with")
    return float(curve[-1]) / theirs


def acceleration_factor(curve: Array, baseline: Band, *, counts: bool) -> Value:
    """AF: evaluations that the baseline takes to what it reaches in the end, over those that this curve takes to it.

    What the baseline reaches is the last value of its mean curve; the evaluations it takes are those after which its
    mean curve is there for the first time.

    Args:
        curve: Discoveries or best scores, of an episode or their mean over episodes, shape (N,).
        baseline: Likewise, of the baseline.
        counts: Whether these are numbers of discoveries, of which 0 is nothing.
    """
    level = float(baseline.mean[-1])
    if counts and level == 0:
        return Undefined("the baseline discovered nothing, so there is nothing to compare with")
    theirs = None if math.isnan(level) else first_reached(baseline.mean, level)
    if theirs is None:
        return Undefined("not every episode of the baseline has a score")
    ours = first_reached(curve, level)
    if ours is None:
        return Undefined("what the baseline reached in the end was not reached", at_most=theirs / len(curve))
    return theirs / ours

"""Distances between compositions, as points whose coordinates are shares of the elements."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DistanceMetric: TypeAlias = Literal["euclidean", "manhattan", "cosine"]

METRICS: tuple[str, ...] = get_args(DistanceMetric)


def check_metric(metric: str) -> None:
    """Refuses what is no metric.

    Raises:
        ValueError: It names those that there are.
    """
    if metric not in METRICS:
        raise ValueError(f"distance_metric: {metric!r} is none of {', '.join(METRICS)}")


def distances(points: Array, others: Array, metric: str) -> Array:
    """All distances between two sets of compositions. Pure.

    Args:
        points: Shape (points, elements).
        others: Shape (others, elements).
        metric: ``euclidean``; ``manhattan``, the sum of absolute differences; ``cosine``, 1 minus the cosine of the
            angle between the two, seen from the origin.

    Returns:
        Shape (points, others); never negative.
    """
    if metric == "cosine":
        one = points / np.linalg.norm(points, axis=1, keepdims=True)
        other = others / np.linalg.norm(others, axis=1, keepdims=True)
        return np.asarray(np.maximum(1.0 - one @ other.T, 0.0))
    found = np.zeros((len(points), len(others)))
    for column in range(points.shape[1]):  # few elements, so this needs little memory
        difference = points[:, column, None] - others[None, :, column]
        found += difference**2 if metric == "euclidean" else np.abs(difference)
    return np.asarray(np.sqrt(found) if metric == "euclidean" else found)

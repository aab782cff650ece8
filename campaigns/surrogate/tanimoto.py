"""The Tanimoto kernel for scikit-learn. Loaded where it is used, for scikit-learn comes with an extra."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Kernel

Array = NDArray[np.float64]


def tanimoto(first: Array, second: Array) -> Array:
    """x·y / (x·x + y·y - x·y) of vectors that are not negative (L. Ralaivola et al., Neural Networks 18 (2005) 1093).

    Args:
        first: Shape (n, m).
        second: Shape (k, m).

    Returns:
        Shape (n, k), from 0 to 1; two vectors of zeros are equal, so that is 1.
    """
    inner = first @ second.T
    below = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)[None, :] - inner
    similarity: Array = np.divide(inner, below, out=np.ones_like(inner), where=below > 0)
    return similarity


class Tanimoto(Kernel):  # type: ignore[misc]  # scikit-learn is not typed
    """The kernel; it has no hyperparameters."""

    def __init__(self) -> None:
        # scikit-learn reads a kernel's parameters from the signature of a constructor of its own.
        super().__init__()
        self._latest: tuple[Array, Array] | None = None

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803
        """The matrix of similarities, and its gradient with respect to no hyperparameters if that is asked for."""
        matrix = self._own(X).copy() if Y is None else tanimoto(X, Y)
        return (matrix, np.empty((*matrix.shape, 0))) if eval_gradient else matrix

    def _own(self, features: Array) -> Array:
        """The matrix of vectors with themselves: a fit asks for it again and again, with other hyperparameters."""
        if self._latest is None or self._latest[0] is not features:
            self._latest = features, tanimoto(features, features)
        return self._latest[1]

    def diag(self, X: Array) -> Array:  # noqa: N803
        """Similarity of each vector to itself: 1."""
        return np.ones(len(X))

    def is_stationary(self) -> bool:
        """Whether it depends on differences only: no."""
        return False

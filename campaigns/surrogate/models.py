"""The models, from scikit-learn: a Gaussian process, or a random forest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulations.extras import need

Array = NDArray[np.float64]
ModelName = Literal["gaussian_process", "random_forest"]
KernelName = Literal["rbf", "dot_product", "tanimoto"]
MODELS: tuple[ModelName, ...] = ("gaussian_process", "random_forest")

NOISE_BOUNDS = (1e-6, 1.0)
"""Of the variance of noise, in units of that of the scores."""
LENGTH_BOUNDS = (0.05, 20.0)
"""Of length scales, in units of the features."""


@dataclass(frozen=True)
class Guess:
    """What a model makes of candidates.

    Attributes:
        mean: Guessed scores, shape (n,).
        std: Their standard deviations, shape (n,).
    """

    mean: Array
    std: Array


class Model(Protocol):
    """Guesses scores."""

    def fit(self, features: Array, scores: Array) -> None:
        """Learns from evaluated candidates: features of shape (n, m), scores of shape (n,)."""
        ...

    def predict(self, features: Array) -> Guess:
        """Guesses the scores of candidates: features of shape (n, m)."""
        ...


def make_model(name: ModelName, kernel: KernelName, n_estimators: int, seed: int) -> Model:
    """A model that has learned nothing.

    Args:
        name: Which.
        kernel: Of a Gaussian process. ``rbf`` has a length for each feature, ``tanimoto`` none (L. Ralaivola et al.,
            Neural Networks 18 (2005) 1093).
        n_estimators: Trees of a random forest.
        seed: Of a random forest.

    Raises:
        ToolError: ``MissingExtra``, if scikit-learn is not installed.
    """
    need("sklearn", "learn")
    return _Process(kernel) if name == "gaussian_process" else _Forest(n_estimators, seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets linear algebra use one thread, as long as it is entered.

    These matrices are small: on a busy machine threads that wait for each other cost more than they bring. And the last
    digit of a sum does not depend on how many there are, so that a campaign goes on elsewhere as it would here.
    """
    with need("threadpoolctl", "learn").threadpool_limits(1, user_api="blas"):
        yield


class _Process:
    """Gaussian process regression (C. E. Rasmussen, C. K. I. Williams, 2006) of scores of mean 0 and variance 1.

    The hyperparameters are those of the greatest marginal likelihood that L-BFGS finds from one start, without random
    numbers.
    """

    def __init__(self, kernel: KernelName) -> None:
        self._kernel = kernel
        self._fitted: Any = None

    def fit(self, features: Array, scores: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

        base = _base_kernel(self._kernel, features.shape[1])
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * base + WhiteKernel(1e-2, NOISE_BOUNDS)
        # Equal scores have no variance to be normalised to.
        process = GaussianProcessRegressor(kernel, normalize_y=bool(np.ptp(scores) > 0), random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hyperparameter at its bound is no failure
            self._fitted = process.fit(features, scores)

    def predict(self, features: Array) -> Guess:
        mean, std = self._fitted.predict(features, return_std=True)
        return Guess(mean, std)


def _base_kernel(name: KernelName, n_features: int) -> Any:
    from sklearn.gaussian_process.kernels import RBF, DotProduct

    if name == "tanimoto":
        from campaigns.surrogate.tanimoto import Tanimoto

        return Tanimoto()
    if name == "dot_product":
        return DotProduct(1.0, (1e-2, 1e2))
    return RBF(np.ones(n_features), LENGTH_BOUNDS)


class _Forest:
    """A random forest (L. Breiman, Mach. Learn. 45 (2001) 5); the uncertainty is the spread of its trees."""

    def __init__(self, n_estimators: int, seed: int) -> None:
        self._n_estimators = n_estimators
        self._seed = seed
        self._fitted: Any = None

    def fit(self, features: Array, scores: Array) -> None:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(self._n_estimators, random_state=self._seed, n_jobs=1)
        self._fitted = forest.fit(features, scores)

    def predict(self, features: Array) -> Guess:
        each = np.stack([tree.predict(features) for tree in self._fitted.estimators_])
        return Guess(each.mean(axis=0), each.std(axis=0))

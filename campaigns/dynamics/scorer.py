"""A scorer that learns from the settings themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from campaigns.dynamics.candidate import Settings, Value
from campaigns.dynamics.environment import DynamicsEnvironment
from campaigns.environment import View
from campaigns.errors import refuse
from campaigns.surrogate.acquisition import Acquisition
from campaigns.surrogate.models import ModelName
from campaigns.surrogate.scorer import Array, Surrogate


class SurrogateScorer(Surrogate[Settings]):
    """Ranks settings by a model of their scores.

    Numbers are scaled to 0 … 1 over the grid; of words and truth values each has a feature of its own.

    Args:
        model: ``gaussian_process`` or ``random_forest``.
        acquisition: ``greedy``, ``ucb`` or ``expected_improvement``.
        exploration_factor: Weight of the uncertainty with ``ucb``.
        num_initial: How many scores there are to be before the model is asked; until then ranks are random.
        kernel: Of the Gaussian process: ``rbf`` or ``dot_product``.
        n_estimators: Trees of the random forest.
        seed: Seed of random ranks and of the forest.

    Raises:
        NotAcceptable: If an argument is none of those.
    """

    def __init__(
        self,
        model: ModelName = "gaussian_process",
        acquisition: Acquisition = "ucb",
        exploration_factor: float = 1.0,
        num_initial: int = 5,
        kernel: Literal["rbf", "dot_product"] = "rbf",
        n_estimators: int = 200,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            model=model,
            acquisition=acquisition,
            exploration_factor=exploration_factor,
            num_initial=num_initial,
            kernel=kernel,
            kernels=("rbf", "dot_product"),
            n_estimators=n_estimators,
            seed=seed,
        )

    def features(self, candidates: Sequence[Settings], view: View[Settings]) -> Array:
        """The settings as numbers, shape (candidates, features).

        Raises:
            NotAcceptable: If the environment is not one of settings.
        """
        if not isinstance(view.environment, DynamicsEnvironment):
            hint = "Use it with campaigns.dynamics.DynamicsEnvironment"
            raise refuse("environment", f"is a {type(view.environment).__name__}, which has no grid", hint)
        return encode(view.environment.grid, [candidate.inputs for candidate in candidates])


def encode(grid: Mapping[str, Sequence[Value]], settings: Sequence[Mapping[str, Value]]) -> Array:
    """Settings as numbers.

    Args:
        grid: The values of each input that is varied.
        settings: Values by name, of the grid.

    Returns:
        Shape (settings, features), from 0 to 1 each.
    """
    columns: list[list[float]] = []
    for name, values in sorted(grid.items()):
        numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) == len(values):
            low, high = min(numbers), max(numbers)
            span = (high - low) or 1.0
            columns.append([(float(one[name]) - low) / span for one in settings])
        else:
            columns += [[float(one[name] == value) for one in settings] for value in values]
    return np.array(columns, dtype=np.float64).T

"""A scorer that likes compositions far from all that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns.components import ScoreResult
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.distances import DistanceMetric, check_metric, distances
from campaigns.crystals.environment import crystals_of
from campaigns.environment import View

TIE_BREAK = 1e-9
"""What chance may add to a score: far less than two compositions of less than 1,000 atoms differ by."""


class CompositionDiversity:
    """Prefers candidates that are farthest in composition from what was observed.

    The farthest of all comes first; each next one is the farthest from the observed ones and those that came before it,
    so that a batch is diverse as well (T. F. Gonzalez, Theor. Comput. Sci. 1985, 38, 293). A score is that distance.
    Pure elements, failed evaluations and those that are running count as observed.

    Args:
        distance_metric: ``euclidean``, ``manhattan`` or ``cosine``, between shares of the elements.
        seed: Of the order of equally distant ones; it shows in the ninth digit of a score.

    Raises:
        ValueError: If there is no such metric.
    """

    scorer_name = "CompositionDiversity"

    def __init__(self, distance_metric: DistanceMetric = "euclidean", seed: int | None = None) -> None:
        check_metric(distance_metric)
        self._metric = distance_metric
        self._random = np.random.default_rng(seed)

    def score(self, candidates: Sequence[Crystal], view: View[Crystal]) -> list[ScoreResult]:
        """See `campaigns.components.Scorer`."""
        if not candidates:
            return []
        environment = crystals_of(view, self.scorer_name)
        formulas = dict.fromkeys(
            [one.candidate.reduced_formula for one in view.observations] + [one.reduced_formula for one in view.pending]
        )
        known = np.array(
            [*environment.reference_fractions, *(environment.fractions_of(formula) for formula in formulas)]
        )
        points = np.array([environment.fractions_of(one.reduced_formula) for one in candidates])
        alone = distances(points, known, self._metric).min(axis=1)
        scores = self._traverse(points, alone + TIE_BREAK * self._random.random(len(points)))
        return [
            ScoreResult(
                float(score),
                self.scorer_name,
                {"distance": float(score), "distance_from_observed": float(distance), "metric": self._metric},
            )
            for score, distance in zip(scores, alone, strict=True)
        ]

    def _traverse(self, points: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of each point from what is known and the points that are farther than it."""
        left = apart.copy()
        scores = np.zeros(len(points))
        for _ in range(len(points)):
            best = int(np.argmax(left))
            scores[best] = left[best]
            # All that are left lose at least a little, so that scores say which came first.
            near = distances(points, points[best : best + 1], self._metric)[:, 0]
            left = np.where(np.isneginf(left), left, np.minimum(left, near + TIE_BREAK * apart))
            left[best] = -np.inf
        return scores

    def get_state(self) -> dict[str, Any]:
        """Its random numbers."""
        return {"random": dict(self._random.bit_generator.state)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._random.bit_generator.state = dict(state["random"])

"""Several scorers in one: a weighted sum of their scores, or the order of Pareto dominance."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from campaigns.components import Scorer, ScoreResult
from campaigns.environment import Observation, View

C = TypeVar("C")


class ScorerChain(Generic[C]):
    """Combines scorers.

    ``weighted_sum``: the sum of weight times score. ``pareto``: minus the number of the front, 0 for what nothing
    dominates, 1 for what only those dominate, and so on; weights play no part, but for scorers of weight 0, which are
    left out. Fronts are those of non-dominated sorting (Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002)).

    Args:
        scorers: The scorers; each is asked of all candidates.
        weights: One for each scorer, at least 0; None: equal ones that add up to 1.
        combination_method: ``weighted_sum`` or ``pareto``.
        normalize_scores: Whether the scores of each scorer are first brought to the range from 0 to 1, over the
            candidates of this call; those that are all equal become 0.

    Raises:
        ValueError: If there is no scorer, or there is not one weight of at least 0 for each.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer[C]],
        weights: Sequence[float] | None = None,
        combination_method: Literal["weighted_sum", "pareto"] = "weighted_sum",
        normalize_scores: bool = True,
    ) -> None:
        if not scorers:
            raise ValueError("scorers: at least one is needed")
        if weights is not None and len(weights) != len(scorers):
            raise ValueError(f"weights: {len(weights)} for {len(scorers)} scorers")
        if weights is not None and (not np.all(np.isfinite(weights)) or min(weights) < 0 or max(weights) == 0):
            raise ValueError("weights: each must be at least 0, and one greater")
        if combination_method not in ("weighted_sum", "pareto"):
            raise ValueError(f"combination_method: {combination_method!r} is neither weighted_sum nor pareto")
        self.scorers = tuple(scorers)
        self.weights = np.array(weights if weights is not None else [1 / len(scorers)] * len(scorers), dtype=float)
        self.combination_method = combination_method
        self.normalize_scores = normalize_scores

    def score(self, candidates: Sequence[C], view: View[C]) -> list[ScoreResult]:
        """Asks each scorer, and combines what they say.

        Raises:
            ValueError: If a scorer does not answer for each candidate, or with a number that is not finite.
        """
        if not candidates:
            return []
        found = [one.score(candidates, view) for one in self.scorers]
        for scorer, results in zip(self.scorers, found, strict=True):
            if len(results) != len(candidates):
                name = type(scorer).__name__
                raise ValueError(f"{name} gave {len(results)} scores for {len(candidates)} candidates")
        table = np.array([[result.score for result in results] for results in found], dtype=float)
        if not np.all(np.isfinite(table)):
            name = type(self.scorers[int(np.argmin(np.isfinite(table).all(axis=1)))]).__name__
            raise ValueError(f"{name} gave a score that is not finite")
        combined = self._combined(normalized(table) if self.normalize_scores else table)
        return [self._result(column, combined[column], found) for column in range(len(candidates))]

    def _combined(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.combination_method == "weighted_sum":
            return np.asarray(self.weights @ table)
        return -fronts(table[self.weights > 0]).astype(float)

    def _result(self, column: int, score: float, found: Sequence[Sequence[ScoreResult]]) -> ScoreResult:
        mine = [results[column] for results in found]
        costs: Counter[str] = Counter()
        for result in mine:
            costs.update(result.cost)
        details = {
            "scores": [{"scorer": one.scorer_name, "score": one.score, **dict(one.details)} for one in mine],
        }
        return ScoreResult(float(score), type(self).__name__, details, dict(costs))

    def observe(self, observation: Observation[C]) -> None:
        """Tells each scorer that wants to know of evaluations."""
        for one in self.scorers:
            listen = getattr(one, "observe", None)
            if listen is not None:
                listen(observation)

    def get_state(self) -> dict[str, Any]:
        """The state of each scorer."""
        return {"scorers": [one.get_state() for one in self.scorers]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        for one, mine in zip(self.scorers, state["scorers"], strict=True):
            one.load_state(copy.deepcopy(mine))


def normalized(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brings each row to the range from 0 to 1; a row whose numbers are all equal becomes 0. Pure.

    Args:
        table: Shape (scorers, candidates).
    """
    low = table.min(axis=1, keepdims=True)
    span = table.max(axis=1, keepdims=True) - low
    return np.asarray(np.divide(table - low, span, out=np.zeros_like(table), where=span > 0))


def fronts(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """The front of each candidate, 0 for what nothing dominates. Pure.

    One dominates another if it is at least as good in everything, and better in something.

    Args:
        table: Shape (scorers, candidates); more is better.

    Returns:
        Shape (candidates,).
    """
    columns = table.T
    count = len(columns)
    dominates = np.zeros((count, count), dtype=bool)
    for index in range(count):  # row by row, since all at once takes count² × scorers numbers
        dominates[index] = (columns[index] >= columns).all(axis=1) & (columns[index] > columns).any(axis=1)
    found = np.full(count, -1, dtype=np.int64)
    by = dominates.sum(axis=0)
    front = 0
    while (found < 0).any():
        now = (by == 0) & (found < 0)
        found[now] = front
        by = by - dominates[now].sum(axis=0)
        front += 1
    return found

"""Scorers that know nothing of what a candidate is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from campaigns.components import ScoreResult
from campaigns.environment import View

C = TypeVar("C")


class RandomSelector(Generic[C]):
    """Ranks candidates at random: each order is as likely as any other.

    Args:
        seed: Of its random numbers; None: unforeseeable ones, where no campaign gives a seed.
    """

    scorer_name = "RandomSelector"

    def __init__(self, seed: int | None = None) -> None:
        self._random = np.random.default_rng(seed)

    def score(self, candidates: Sequence[C], view: View[C]) -> list[ScoreResult]:
        """A random number from 0 to 1 for each."""
        return [ScoreResult(float(score), self.scorer_name) for score in self._random.random(len(candidates))]

    def get_state(self) -> dict[str, Any]:
        """The state of its random numbers."""
        return {"random": dict(self._random.bit_generator.state)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._random.bit_generator.state = dict(state["random"])

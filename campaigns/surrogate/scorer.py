"""What scorers on a surrogate have in common, whatever the candidates are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from campaigns.components import ScoreResult
from campaigns.environment import View
from campaigns.errors import refuse
from campaigns.surrogate.acquisition import ACQUISITIONS, Acquisition, acquire
from campaigns.surrogate.models import MODELS, KernelName, ModelName, make_model, one_thread

C = TypeVar("C")
Array = NDArray[np.float64]


class Surrogate(ABC, Generic[C]):
    """Ranks candidates by a model that was trained on all scores so far. Subclasses say what the model looks at.

    It is trained anew at each decision, so its memory is the campaign's record. Until ``num_initial`` candidates have a
    score, and while all scores are equal, it ranks at random. Candidates whose evaluation failed teach it nothing.
    Those that are being evaluated now are taken to turn out as guessed, so that others are looked at meanwhile
    (kriging believer: D. Ginsbourger, R. Le Riche, L. Carraro, 2010).

    Args:
        model: ``gaussian_process`` or ``random_forest``.
        acquisition: ``greedy``, ``ucb`` or ``expected_improvement``.
        exploration_factor: Weight of the uncertainty with ``ucb``.
        num_initial: How many scores there are to be before it is asked; at least 1.
        kernel: Of the Gaussian process.
        kernels: Those that are allowed.
        n_estimators: Trees of the random forest.
        seed: Seed of random ranks and of the forest.

    Raises:
        NotAcceptable: If an argument is none of those.
    """

    def __init__(
        self,
        *,
        model: ModelName,
        acquisition: Acquisition,
        exploration_factor: float,
        num_initial: int,
        kernel: KernelName,
        kernels: Sequence[KernelName],
        n_estimators: int,
        seed: int | None,
    ) -> None:
        for name, value, allowed in (
            ("model", model, MODELS),
            ("acquisition", acquisition, ACQUISITIONS),
            ("kernel", kernel, kernels),
        ):
            if value not in allowed:
                raise refuse(name, f"is {value!r}", f"One of: {', '.join(allowed)}")
        for name, number in (("num_initial", num_initial), ("n_estimators", n_estimators)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise refuse(name, f"is {number!r}", "A whole number from 1")
        if not 0 <= exploration_factor < float("inf"):
            raise refuse("exploration_factor", f"is {exploration_factor!r}", "A number from 0")
        self._model: ModelName = model
        self._acquisition: Acquisition = acquisition
        self._exploration_factor = float(exploration_factor)
        self._num_initial = num_initial
        self._kernel: KernelName = kernel
        self._n_estimators = n_estimators
        self._random = np.random.default_rng(seed)
        self._forest_seed = int(self._random.integers(2**31))

    @property
    def _name(self) -> str:
        return type(self).__name__

    @abstractmethod
    def features(self, candidates: Sequence[C], view: View[C]) -> Array:
        """What the model looks at: shape (candidates, features)."""

    def score(self, candidates: Sequence[C], view: View[C]) -> list[ScoreResult]:
        """How worth its evaluation each candidate is, in the unit of the score, and what the model guesses.

        Raises:
            ToolError: ``MissingExtra``, if scikit-learn is not installed.
        """
        known = [observation for observation in view.observations if observation.score is not None]
        scores = np.array([observation.score for observation in known], dtype=np.float64)
        if len(known) < self._num_initial or np.ptp(scores) == 0:
            why = f"{len(known)} of {self._num_initial} scores" if len(known) < self._num_initial else "equal scores"
            ranks = self._random.random(len(candidates))
            return [ScoreResult(float(rank), self._name, {"random": why}) for rank in ranks]
        if not candidates:
            return []
        return self._guessed(candidates, view, [observation.candidate for observation in known], scores)

    def _guessed(self, candidates: Sequence[C], view: View[C], known: Sequence[C], scores: Array) -> list[ScoreResult]:
        pending = list(view.pending)
        every = self.features([*known, *pending, *candidates], view)
        n, end = len(known), len(known) + len(pending)
        model = make_model(self._model, self._kernel, self._n_estimators, self._forest_seed)
        with one_thread():
            model.fit(every[:n], scores)
            if pending:
                model.fit(every[:end], np.concatenate([scores, model.predict(every[n:end]).mean]))
            guess = model.predict(every[end:])
        values = acquire(guess.mean, guess.std, float(scores.max()), self._acquisition, self._exploration_factor)
        about = {"model": self._model, "acquisition": self._acquisition, "trained_on": n, "pending": len(pending)}
        return [
            ScoreResult(float(value), self._name, {**about, "mean": float(mean), "std": float(std)})
            for value, mean, std in zip(values, guess.mean, guess.std, strict=True)
        ]

    def get_state(self) -> dict[str, Any]:
        """Its random generator, and the seed of its forests; what it learned from stands in the record."""
        return {"random": self._random.bit_generator.state, "forest_seed": self._forest_seed}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on with that random generator."""
        self._random.bit_generator.state = state["random"]
        self._forest_seed = state["forest_seed"]

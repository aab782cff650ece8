"""Which compositions to look at next: small strategies for `GridSearchPlanner`.

All choose without replacement, and never one that they have ruled out; if all are ruled out, they say so. Of equally
good compositions one is drawn at random, so that episodes with other seeds go other ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from campaigns.components import Exhausted
from campaigns.crystals.apart import Apart, same_ones
from campaigns.crystals.distances import DistanceMetric, check_metric, distances
from campaigns.crystals.statistics import Statistics
from campaigns.errors import nearest
from campaigns.stateful import Stateful, Stateless

Array = NDArray[np.float64]

TIE = 1e-12
"""Values that differ by less are equal."""


class SelectionStrategy(Stateful, Protocol):
    """Chooses compositions."""

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """Up to so many compositions, the best first, each once: their places among ``known.formulas``.

        Args:
            known: What is known of each.
            num_compositions: How many.
            random: For what is left to chance.

        Raises:
            Exhausted: If none may be chosen any more.
        """
        ...


class RandomStrategy(Stateless):
    """Draws compositions at random, each as likely as any other.

    Args:
        max_attempts_per_composition: A composition with so many attempts is done.
        move_on_success: Whether one with a success is done, too.
    """

    def __init__(self, max_attempts_per_composition: int = 5, move_on_success: bool = True) -> None:
        self._limit = _Limit(max_attempts_per_composition, move_on_success)

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """See `SelectionStrategy`."""
        open_ones = self._limit.open(known)
        return [int(place) for place in random.permutation(open_ones)[:num_compositions]]


class IterativeStrategy(Stateless):
    """Goes through the compositions in their order, those of few atoms first, and stays with each until it is done.

    Args:
        max_attempts_per_composition: A composition with so many attempts is done.
        move_on_success: Whether one with a success is done, too.
    """

    def __init__(self, max_attempts_per_composition: int = 5, move_on_success: bool = True) -> None:
        self._limit = _Limit(max_attempts_per_composition, move_on_success)

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """See `SelectionStrategy`."""
        return [int(place) for place in self._limit.open(known)[:num_compositions]]


class UnexploredStrategy(Stateless):
    """Takes compositions that were not tried yet, at random; if there are too few, those that were tried least."""

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """See `SelectionStrategy`."""
        return best_of(-known.attempts.astype(np.float64), num_compositions, random)


class UcbStrategy(Stateless):
    """Takes the highest upper confidence bound: what a composition gave so far, plus what is not known of it.

    That is UCB1 (P. Auer et al., Mach. Learn. 2002, 47, 235) with a factor of one's own: reward + exploration_factor
    · √(ln N / n), with n attempts at this composition, of N in all. One that was never tried comes before all others.

    Args:
        exploration_factor: Weight of what is not known; √2 is that of UCB1. With ``best_score`` it is in eV per atom.
        ucb_reward: ``success_rate``: successes for each finished attempt; ``failure_rate``: 1 minus that;
            ``best_score``: the best score, in eV per atom. Where all attempts failed, there is no best score, and the
            lowest of all compositions takes its place.
    """

    def __init__(
        self,
        exploration_factor: float = 1.0,
        ucb_reward: Literal["success_rate", "failure_rate", "best_score"] = "success_rate",
    ) -> None:
        if not (math.isfinite(exploration_factor) and exploration_factor >= 0):
            raise ValueError(f"exploration_factor: {exploration_factor} must be a finite number, 0 or more")
        if ucb_reward not in ("success_rate", "failure_rate", "best_score"):
            raise ValueError(f"ucb_reward: {ucb_reward!r} is none of success_rate, failure_rate, best_score")
        self._factor = exploration_factor
        self._reward = ucb_reward

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """See `SelectionStrategy`."""
        tried = known.attempts > 0
        total = max(int(known.attempts.sum()), 1)
        bound = self._rewards(known) + self._factor * np.sqrt(math.log(total) / np.maximum(known.attempts, 1))
        return best_of(np.where(tried, bound, np.inf), num_compositions, random)

    def _rewards(self, known: Statistics) -> Array:
        if self._reward == "success_rate":
            return known.success_rate
        if self._reward == "failure_rate":
            return np.asarray(1.0 - known.success_rate)
        there = known.best[np.isfinite(known.best)]
        return np.asarray(np.where(np.isfinite(known.best), known.best, there.min() if len(there) else 0.0))


class DiversityStrategy(Stateless):
    """Takes the composition that is farthest from all that were tried, and then the next, as if that had been tried.

    A composition's value is its distance from the nearest composition that was tried or is a pure element, times a
    weight: ``unattempted_weight`` if it was never tried, else ``attempt_weight_factor`` / (attempts + 1) +
    ``failure_weight_factor`` · (1 - success rate). Farthest-first traversal: T. F. Gonzalez, Theor. Comput. Sci. 1985,
    38, 293.

    Args:
        distance_metric: ``euclidean``, ``manhattan`` or ``cosine``, between shares of the elements.
        unattempted_weight: See above.
        attempt_weight_factor: See above.
        failure_weight_factor: See above.
        mask_same_reduced_formula: Whether cells of one reduced formula, such as CuAu and Cu2Au2, are not compared with
            each other, and only one of them is taken at a time. If false, one whose reduced formula was tried has
            distance 0. A composition is never compared with itself.
    """

    def __init__(
        self,
        distance_metric: DistanceMetric = "euclidean",
        unattempted_weight: float = 2.0,
        attempt_weight_factor: float = 0.7,
        failure_weight_factor: float = 0.3,
        mask_same_reduced_formula: bool = True,
    ) -> None:
        check_metric(distance_metric)
        weights = {
            "unattempted_weight": unattempted_weight,
            "attempt_weight_factor": attempt_weight_factor,
            "failure_weight_factor": failure_weight_factor,
        }
        for name, value in weights.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: {value} must be a finite number, 0 or more")
        self._metric = distance_metric
        self._unattempted = unattempted_weight
        self._attempt = attempt_weight_factor
        self._failure = failure_weight_factor
        self._mask = mask_same_reduced_formula
        self._apart = Apart(distance_metric, mask_same_reduced_formula)

    def select(self, known: Statistics, num_compositions: int, random: np.random.Generator) -> list[int]:
        """See `SelectionStrategy`."""
        nearest_one = self._apart.from_tried(known)
        # Nothing to compare with, as where there is one element only: then weights alone decide.
        nearest_one = np.where(np.isinf(nearest_one), 1.0, nearest_one)
        weights = self._weights(known)
        left = np.ones(len(known), dtype=bool)
        chosen: list[int] = []
        while len(chosen) < num_compositions and left.any():
            best = best_of(np.where(left, nearest_one * weights, -np.inf), 1, random)[0]
            chosen.append(best)
            place = np.array([best])
            same = same_ones(known, place, self._mask)[:, 0]
            left &= ~same if self._mask else np.arange(len(known)) != best
            near = distances(known.fractions, known.fractions[place], self._metric)[:, 0]
            nearest_one = np.minimum(nearest_one, np.where(same, np.inf, near))
        return chosen

    def _weights(self, known: Statistics) -> Array:
        again = self._attempt / (known.attempts + 1) + self._failure * (1.0 - known.success_rate)
        return np.asarray(np.where(known.attempts > 0, again, self._unattempted))


class _Limit:
    """When a composition is done."""

    def __init__(self, max_attempts_per_composition: int, move_on_success: bool) -> None:
        if max_attempts_per_composition < 1:
            raise ValueError(f"max_attempts_per_composition: {max_attempts_per_composition} must be at least 1")
        self._most = max_attempts_per_composition
        self._move_on = move_on_success

    def open(self, known: Statistics) -> NDArray[np.int64]:
        """Places of those that are not done.

        Raises:
            Exhausted: If all are.
        """
        open_ones = known.attempts < self._most
        if self._move_on:
            open_ones &= known.successes == 0
        if not open_ones.any():
            won = int((known.successes > 0).sum()) if self._move_on else 0
            raise Exhausted(
                f"all {len(known)} compositions are done: {won} after a success, {len(known) - won} after "
                f"{self._most} attempts (max_attempts_per_composition)"
            )
        return np.flatnonzero(open_ones)


def best_of(values: Array, number: int, random: np.random.Generator) -> list[int]:
    """Places of the highest values, best first; in which order equal ones come is drawn. Pure but for that.

    Args:
        values: More is better.
        number: How many, at most.
        random: Is asked for one permutation of all.
    """
    shuffled = random.permutation(len(values))
    levels = values[shuffled]
    finite = np.isfinite(levels)
    levels = np.where(finite, np.round(levels / TIE) * TIE, levels) if finite.any() else levels
    order = np.argsort(-levels, kind="stable")[:number]
    return [int(place) for place in shuffled[order]]


STRATEGIES: Mapping[str, type[Any]] = {
    "random": RandomStrategy,
    "ucb": UcbStrategy,
    "unexplored": UnexploredStrategy,
    "iterative": IterativeStrategy,
    "diversity": DiversityStrategy,
}


def make_strategy(name: str, kwargs: Mapping[str, Any]) -> SelectionStrategy:
    """The strategy of a name.

    Raises:
        ValueError: If there is none, or it does not take these parameters; it names those that there are.
    """
    import inspect

    if name not in STRATEGIES:
        hint = nearest(name, STRATEGIES, "Strategies")
        raise ValueError(f"selection_strategy: {name!r} is none. {hint}")
    taken = inspect.signature(STRATEGIES[name]).parameters
    strange = [given for given in kwargs if given not in taken]
    if strange:
        hint = nearest(strange[0], taken, "Parameters")
        raise ValueError(f"selection_strategy_kwargs: {name} has no {strange[0]!r}. {hint}")
    try:
        strategy: SelectionStrategy = STRATEGIES[name](**kwargs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"selection_strategy_kwargs: {error}") from error
    return strategy

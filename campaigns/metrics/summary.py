"""All metrics of a campaign: of each episode, and over the episodes of a policy on a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from campaigns.metrics import curves, factors, sets
from campaigns.metrics.curves import Array, Band
from campaigns.metrics.episode import Episode, Known
from campaigns.metrics.numbers import Spread, Undefined, Value, as_json, spread

METRICS = {
    "evaluations": "Evaluations of the episode.",
    "evaluated": "Of these, how many gave a score.",
    "failed": "Of these, how many gave none.",
    "discoveries": "Different successes.",
    "efficiency": "Discoveries per evaluation, from 0 to 1.",
    "first_discovery": "The evaluation, from 1, that was the first success.",
    "best_score": "The greatest score.",
    "best_at": "The evaluation, from 1, that had it first.",
    "audc": "Area under the discovery curve D: 2 Σ D(i) / (N (N + 1)), i = 1 … N (the budget), from 0 to 1.",
    "audc_known": "The same of those discoveries that are known, K of them: Σ D(i) / Σ min(i, K), from 0 to 1.",
    "recall_structure": "Share of the known structures that was found.",
    "precision_structure": "Share of the found structures that is known.",
    "recall_formula": "Share of the known reduced formulas that was found.",
    "precision_formula": "Share of the found reduced formulas that is known.",
    "novelty": "Share of the found structures that is not known.",
    "ef": "Enhancement factor: discoveries over the mean of the baseline's, after all evaluations.",
    "af": "Acceleration factor: evaluations that the baseline's mean discovery curve takes to its end, over those that "
    "this one takes to that.",
    "af_best": "The same of the best score.",
    "best_gain": "Best score less the mean of the baseline's, in the unit of the score.",
    "decision_s_p50": "Median time of a decision, in s.",
    "decision_s_p95": "95th percentile of the time of a decision, in s.",
}
"""What each number is. Those of an episode are also averaged over episodes."""

NO_SCORE = Undefined("nothing could be evaluated")
NO_SUCCESS = Undefined("the episode found nothing")
NO_TIMES = Undefined("the record has no times of decisions")


@dataclass(frozen=True)
class Row:
    """The numbers of one episode.

    Attributes:
        episode: Which.
        numbers: By the names of `METRICS`.
    """

    episode: Episode
    numbers: Mapping[str, Value]


@dataclass(frozen=True)
class PolicySummary:
    """The numbers of one policy on one system.

    Attributes:
        system: Which system.
        policy: Which policy.
        over_episodes: Spread of each number over the episodes, by the names of `METRICS`.
        of_means: ``ef``, ``af``, ``af_best`` and ``best_gain`` of the mean curves.
        discoveries: The discovery curve over episodes.
        best: The curve of best scores over episodes.
    """

    system: str
    policy: str
    over_episodes: Mapping[str, Spread]
    of_means: Mapping[str, Value]
    discoveries: Band
    best: Band


@dataclass(frozen=True)
class Summary:
    """All numbers of a campaign.

    Attributes:
        baseline: The policy that the others are compared with.
        rows: Of each episode, in their order.
        policies: Of each system and policy, in their order.
        known: What is known, by system.
    """

    baseline: str
    rows: tuple[Row, ...]
    policies: tuple[PolicySummary, ...]
    known: Mapping[str, Known]

    def to_json(self) -> dict[str, Any]:
        """As ``summary.json`` has it."""
        systems: dict[str, Any] = {}
        for one in self.policies:
            systems.setdefault(one.system, {})[one.policy] = {
                "episodes": one.discoveries.episodes,
                "over_episodes": {name: value.to_json() for name, value in one.over_episodes.items()},
                "of_mean_curves": {name: as_json(value) for name, value in one.of_means.items()},
            }
        return {
            "baseline": self.baseline,
            "systems": systems,
            "known": {
                system: {
                    "structures": len(known.structures),
                    "formulas": sorted(known.formulas),
                    "source": known.source,
                }
                for system, known in self.known.items()
            },
            "definitions": dict(METRICS),
        }


def summarise(episodes: Sequence[Episode], *, baseline: str, known: Mapping[str, Known] | None = None) -> Summary:
    """All numbers of a campaign.

    Args:
        episodes: Of all systems and policies. Those of one system and policy have one budget.
        baseline: The policy that the others are compared with.
        known: What is known to be there, by system; systems that are not in it have metrics without it.

    Raises:
        ValueError: If there is no episode, or no policy of that name, or budgets on a system differ.
    """
    there = list(dict.fromkeys(episode.policy for episode in episodes))
    if not episodes:
        raise ValueError("there is no episode to summarise")
    if baseline not in there:
        raise ValueError(f"there is no policy {baseline!r} to compare with; there are: {', '.join(there)}")
    known = known or {}
    rows: list[Row] = []
    policies: list[PolicySummary] = []
    for system in dict.fromkeys(episode.system for episode in episodes):
        here = [episode for episode in episodes if episode.system == system]
        budgets = {episode.budget for episode in here}
        if len(budgets) > 1:
            raise ValueError(f"episodes of system {system!r} have budgets {sorted(budgets)}: they cannot be compared")
        base = _Bands.of([episode for episode in here if episode.policy == baseline])
        for policy in dict.fromkeys(episode.policy for episode in here):
            own = [episode for episode in here if episode.policy == policy]
            found = [Row(episode, _numbers(episode, known.get(system), base)) for episode in own]
            rows += found
            policies.append(_policy(system, policy, found, base))
    return Summary(baseline, tuple(rows), tuple(policies), known)


@dataclass(frozen=True)
class _Bands:
    discoveries: Band
    best: Band

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> _Bands | None:
        if not episodes:
            return None
        return cls(
            curves.band([curves.discoveries(episode) for episode in episodes]),
            curves.band([curves.best_found(episode) for episode in episodes]),
        )


def _policy(system: str, policy: str, rows: Sequence[Row], base: _Bands | None) -> PolicySummary:
    own = _Bands.of([row.episode for row in rows])
    assert own is not None  # noqa: S101  (there is a row)
    return PolicySummary(
        system=system,
        policy=policy,
        over_episodes={name: spread([row.numbers[name] for row in rows]) for name in METRICS},
        of_means=_compared(own.discoveries.mean, own.best.mean, base),
        discoveries=own.discoveries,
        best=own.best,
    )


def _numbers(episode: Episode, known: Known | None, base: _Bands | None) -> dict[str, Value]:
    scores = [evaluation.score for evaluation in episode.evaluations if evaluation.score is not None]
    n = len(episode.evaluations)
    found = curves.discoveries(episode)
    best = curves.best_found(episode)
    count = float(found[-1]) if len(found) else 0.0
    numbers: dict[str, Value] = {
        "evaluations": float(n),
        "evaluated": float(len(scores)),
        "failed": float(n - len(scores)),
        "discoveries": count,
        "efficiency": count / n if n else Undefined("nothing was evaluated"),
        "first_discovery": _or(curves.first_reached(found, 1.0), NO_SUCCESS),
        "best_score": max(scores) if scores else NO_SCORE,
        "best_at": _or(curves.first_reached(best, max(scores)), NO_SCORE) if scores else NO_SCORE,
        "audc": factors.area_under_discovery_curve(found),
        **_beside(episode, known),
        **_compared(found, best, base),
        **_decisions(episode),
    }
    return numbers


def _or(number: int | None, without: Undefined) -> Value:
    return without if number is None else float(number)


def _beside(episode: Episode, known: Known | None) -> dict[str, Value]:
    structures = None if known is None else known.structures
    formulas = None if known is None else known.formulas
    found, by_formula = sets.found_structures(episode), sets.found_formulas(episode)
    has_formulas = any(evaluation.formula is not None for evaluation in episode.evaluations) or bool(formulas)
    return {
        "audc_known": sets.NOTHING_KNOWN
        if structures is None
        else factors.area_under_discovery_curve(curves.discoveries(episode, structures), len(structures)),
        "recall_structure": sets.recall(found, structures),
        "precision_structure": sets.precision(found, structures),
        "recall_formula": sets.recall(by_formula, formulas) if has_formulas else sets.NO_FORMULAS,
        "precision_formula": sets.precision(by_formula, formulas) if has_formulas else sets.NO_FORMULAS,
        "novelty": sets.novelty(found, structures),
    }


def _compared(found: Array, best: Array, base: _Bands | None) -> dict[str, Value]:
    if base is None:
        absent = Undefined("the baseline has no episode on this system")
        return dict.fromkeys(("ef", "af", "af_best", "best_gain"), absent)
    gain = float(best[-1] - base.best.mean[-1]) if len(best) else float("nan")
    return {
        "ef": factors.enhancement_factor(found, base.discoveries),
        "af": factors.acceleration_factor(found, base.discoveries, counts=True),
        "af_best": factors.acceleration_factor(best, base.best, counts=False),
        "best_gain": Undefined("an episode, or one of the baseline's, has no score") if np.isnan(gain) else gain,
    }


def _decisions(episode: Episode) -> dict[str, Value]:
    times = [evaluation.decision_s for evaluation in episode.evaluations if evaluation.decision_s is not None]
    if not times:
        return {"decision_s_p50": NO_TIMES, "decision_s_p95": NO_TIMES}
    middle, high = np.percentile(times, [50, 95])
    return {"decision_s_p50": float(middle), "decision_s_p95": float(high)}

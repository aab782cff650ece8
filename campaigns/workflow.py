"""The pipeline: plan once, generate once, filter, score, and take the best."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from campaigns.components import (
    Exhausted,
    Filter,
    FilterResult,
    Generator,
    Plan,
    Planner,
    Scorer,
    ScoreResult,
    best_first,
)
from campaigns.environment import Observation, View
from campaigns.policy import Choice, Proposal
from campaigns.stages.filters import FilterChain, NoOpFilter

C = TypeVar("C")

STAGES = ("planner", "generator", "filter", "scorer")


class Workflow(Generic[C]):
    """A policy of four stages: planner → generator → filter → scorer.

    One shot: each time that it is asked, it plans once, generates once, filters, scores what has passed, and takes
    the best. What a filter has rejected is never taken; if nothing passes, the proposal says how many were rejected,
    and why.

    Args:
        planner: Decides where to look.
        generator: Makes candidates.
        filter: Keeps candidates out; several are applied one after another; None: none is kept out.
        scorer: Ranks what is left.
    """

    def __init__(
        self,
        planner: Planner[C],
        generator: Generator[C],
        scorer: Scorer[C],
        filter: Filter[C] | Sequence[Filter[C]] | None = None,  # noqa: A002  (the word of the pipeline)
    ) -> None:
        self.planner = planner
        self.generator = generator
        self.filter: Filter[C] = _one_filter(filter)
        self.scorer = scorer

    def propose(self, view: View[C], count: int) -> Proposal[C]:
        """Plans, generates, filters and scores once, and takes up to ``count`` of the best.

        Raises:
            ValueError: If a stage does not answer for each candidate.
        """
        try:
            plan = self.planner.propose(view)
        except Exhausted as end:
            return Proposal((), reason=str(end), exhausted=True)
        costs = Counter(plan.cost)
        try:
            candidates = self.generator.generate(plan, view)
        except Exhausted as end:
            return Proposal((), reason=str(end), cost=dict(costs), exhausted=True)
        verdicts = _one_each(self.filter, self.filter.filter(candidates, view), candidates)
        passed = [one for one, verdict in zip(candidates, verdicts, strict=True) if verdict.passed]
        scores = _one_each(self.scorer, self.scorer.score(passed, view), passed) if passed else []
        for score in scores:
            costs.update(score.cost)
        order = best_first(scores)[:count]
        why = self._why(plan, len(candidates), verdicts)
        choices = [self._choice(passed[index], scores[index], why) for index in order]
        reason = "" if len(choices) == count else _reason(candidates, verdicts, len(choices), count)
        return Proposal(choices, reason=reason, cost=dict(costs))

    def _why(self, plan: Plan, generated: int, verdicts: Sequence[FilterResult]) -> dict[str, Any]:
        """What all choices of one proposal have in common, for the record."""
        regions = list(plan.regions[:8])
        return {
            "plan": {"regions": regions, "more_regions": len(plan.regions) - len(regions), **plan.details},
            "generated": generated,
            "passed": sum(verdict.passed for verdict in verdicts),
        }

    def _choice(self, candidate: C, score: ScoreResult, why: Mapping[str, Any]) -> Choice[C]:
        by = " > ".join((type(self.planner).__name__, type(self.generator).__name__, score.scorer_name))
        return Choice(candidate, score.score, by, {**why, "scorer": dict(score.details)})

    def observe(self, observation: Observation[C]) -> None:
        """Tells each stage that wants to know of evaluations, by its method ``observe``."""
        for name in STAGES:
            listen = getattr(getattr(self, name), "observe", None)
            if listen is not None:
                listen(observation)

    def get_state(self) -> dict[str, Any]:
        """The state of each stage."""
        return {name: getattr(self, name).get_state() for name in STAGES}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        for name in STAGES:
            getattr(self, name).load_state(copy.deepcopy(state[name]))


class OneShotWorkflowAgent(Workflow[C]):
    """The same under the name by which it is known elsewhere."""


def _one_filter(given: Filter[C] | Sequence[Filter[C]] | None) -> Filter[C]:
    if given is None:
        return NoOpFilter()
    if isinstance(given, Sequence):
        return FilterChain(given)
    return given


R = TypeVar("R")


def _one_each(stage: object, results: Sequence[R], candidates: Sequence[Any]) -> Sequence[R]:
    if len(results) != len(candidates):
        raise ValueError(f"{type(stage).__name__} gave {len(results)} results for {len(candidates)} candidates")
    return results


def _reason(candidates: Sequence[Any], verdicts: Sequence[FilterResult], taken: int, count: int) -> str:
    """Why there are fewer than were asked for. Pure."""
    if not candidates:
        return f"{taken} of {count}: the generator made no candidate"
    rejected = Counter(
        f"{verdict.filter_name}: {verdict.rejection_reason or 'no reason given'}"
        for verdict in verdicts
        if not verdict.passed
    )
    if not rejected:
        return f"{taken} of {count}: no more than {len(candidates)} candidates were generated"
    said = "; ".join(f"{number} × {reason}" for reason, number in rejected.most_common(8))
    more = f"; and {len(rejected) - 8} more reasons" if len(rejected) > 8 else ""
    return f"{taken} of {count}: {rejected.total()} of {len(candidates)} candidates were rejected ({said}{more})"

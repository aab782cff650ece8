"""When an episode ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.campaign_file import Budget, Stop
from campaigns.environment import Observation


@dataclass(frozen=True)
class End:
    """Why an episode chooses no more.

    Attributes:
        ended: As one word; see `campaigns.reading.Episode.ended`.
        reason: In a sentence.
    """

    ended: str
    reason: str


@dataclass(frozen=True)
class Used:
    """What an episode has used so far.

    Attributes:
        evaluations: That were chosen, whether they have an Outcome or not.
        node_hours: Of those that have one, in h of whole nodes.
        wall_time_s: Time that it has been worked at, in s.
    """

    evaluations: int = 0
    node_hours: float = 0.0
    wall_time_s: float = 0.0


def remaining(budget: Budget, used: Used) -> int | None:
    """How many evaluations may still be chosen; None: as many as one likes."""
    return None if budget.evaluations is None else max(0, budget.evaluations - used.evaluations)


def end_of(budget: Budget, stop: Stop, used: Used, observations: Sequence[Observation[Any]]) -> End | None:
    """Why nothing more is to be chosen; None: it goes on.

    What is looked for comes first, then failures, then the budget.
    """
    return _goal(stop, observations) or _failures(stop, observations) or _budget(budget, used)


def _goal(stop: Stop, observations: Sequence[Observation[Any]]) -> End | None:
    if stop.successes is not None:
        found = sum(observation.success for observation in observations)
        if found >= stop.successes:
            return End("successes", f"{found} evaluations were what is looked for")
    scores = [observation.score for observation in observations]
    known = [score for score in scores if score is not None]
    if stop.score_at_least is not None and known and max(known) >= stop.score_at_least:
        return End("score", f"the best score is {max(known):g}, and {stop.score_at_least:g} was enough")
    if stop.no_improvement_for is not None:
        since = since_improvement(scores)
        if since >= stop.no_improvement_for:
            return End("no_improvement", f"{since} evaluations in a row brought no better score")
    return None


def since_improvement(scores: Sequence[float | None]) -> int:
    """How many evaluations came after the best one; 0 if none has a score, since nothing could be improved on."""
    best, at = None, len(scores)
    for index, score in enumerate(scores, 1):
        if score is not None and (best is None or score > best):
            best, at = score, index
    return len(scores) - at


def _failures(stop: Stop, observations: Sequence[Observation[Any]]) -> End | None:
    most = stop.failures_in_a_row
    if most is None or len(observations) < most:
        return None
    last = observations[-most:]
    if any(observation.status == "ok" for observation in last):
        return None
    why = last[-1].details.get("error") or last[-1].status
    return End("failures", f"the last {most} evaluations have failed; the last one: {why}")


def _budget(budget: Budget, used: Used) -> End | None:
    if budget.evaluations is not None and used.evaluations >= budget.evaluations:
        return End("budget", f"its {budget.evaluations} evaluations are used up")
    if budget.node_hours is not None and used.node_hours >= budget.node_hours:
        return End("budget", f"{used.node_hours:.3g} of its {budget.node_hours:g} node-hours are used up")
    if budget.wall_time_s is not None and used.wall_time_s >= budget.wall_time_s:
        return End("budget", f"its {budget.wall_time_s:g} s are over")
    return None

"""What there is to say of a campaign, as data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaigns.reading import Campaign, Decision, Episode, Evaluation

# What a Tool says of the machine that it ran on, or of the time that it took: otherwise in each run.
OF_THE_MACHINE = frozenset(
    {"accelerator", "built_from_cache", "host", "ns_per_day", "platform", "slept_s", "wall_s", "worker"}
)


def campaign_document(campaign: Campaign, *, decisions: bool = False) -> dict[str, Any]:
    """A campaign as ``director campaign show --json`` has it.

    ``evaluations`` holds nothing that differs between two runs of the same campaign: no times, no ids, nothing of the
    machine. Without interruptions or with them, it is the same.

    Args:
        campaign: The campaign.
        decisions: Whether ``decisions`` are there too; their times differ from run to run.
    """
    document: dict[str, Any] = {
        "name": campaign.name,
        "goal": campaign.goal,
        "seed": campaign.seed,
        "ended": all(episode.ended is not None for episode in campaign.episodes),
        "episodes": [episode_summary(episode) for episode in campaign.episodes],
        "evaluations": [
            {**_of(episode), **evaluation_document(evaluation)}
            for episode in campaign.episodes
            for evaluation in episode.evaluations
        ],
    }
    if decisions:
        document["decisions"] = [
            {**_of(episode), **decision_document(decision)}
            for episode in campaign.episodes
            for decision in episode.decisions
        ]
    return document


def _of(episode: Episode) -> dict[str, Any]:
    return {"system": episode.system, "policy": episode.policy, "episode": episode.number}


def episode_summary(episode: Episode) -> dict[str, Any]:
    """One episode in a few numbers."""
    best = episode.best
    costs: dict[str, float] = {}
    for decision in episode.decisions:
        for name, value in decision.cost.items():
            costs[name] = costs.get(name, 0) + value
    return {
        **_of(episode),
        "ended": episode.ended,
        "reason": episode.reason,
        "evaluated": len(episode.evaluations),
        "in_flight": len(episode.pending),
        "failed": sum(one.status != "ok" for one in episode.evaluations),
        "reused": sum(one.reused_from is not None for one in episode.evaluations),
        "successes": sum(one.success for one in episode.evaluations),
        "best_score": None if best is None else best.score,
        "best_candidate": None if best is None else dict(best.candidate),
        "node_hours": sum(one.node_hours or 0.0 for one in episode.evaluations),
        "cost": costs,
    }


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """One evaluation, with nothing that differs from run to run."""
    return {
        "index": evaluation.index,
        "candidate": dict(evaluation.candidate),
        "score": evaluation.score,
        "success": evaluation.success,
        "status": evaluation.status,
        "result": _steady(evaluation.result) or None,
        "details": _steady(evaluation.details),
        "predicted": evaluation.predicted,
        "by": evaluation.by,
        "error": None if evaluation.error is None else {"type": evaluation.error["type"]},
    }


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _steady(one) for name, one in value.items() if name not in OF_THE_MACHINE}
    return value


def decision_document(decision: Decision) -> dict[str, Any]:
    """One decision, with what it was based on, who made it, and what it cost."""
    return {
        "number": decision.number,
        "at": decision.at,
        "asked": decision.asked,
        "outcomes": list(decision.outcomes),
        "pending": list(decision.pending),
        "choices": [dict(choice) for choice in decision.choices],
        "reason": decision.reason,
        "cost": dict(decision.cost),
        "seconds": decision.seconds,
        "exhausted": decision.exhausted,
    }

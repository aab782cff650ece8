"""From the record of a campaign to the episodes that metrics look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from campaigns import reading
from campaigns.metrics.episode import Episode, Evaluation

BASELINE = "random"
"""Name of the policy that is the baseline where none is named."""


def name_of(candidate: Mapping[str, Any]) -> str:
    """Names a candidate by its JSON: equal candidates have equal names."""
    return json.dumps(candidate, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def label_of(candidate: Mapping[str, Any]) -> str:
    """A candidate in a few words, for people: its SMILES or formula, or its values."""
    for field in ("smiles", "formula"):
        if isinstance(candidate.get(field), str):
            return str(candidate[field])
    return ", ".join(
        f"{name} {value}" for name, value in sorted(candidate.items()) if isinstance(value, str | int | float)
    )


def default_baseline(campaign: reading.Campaign) -> str:
    """The policy named ``random`` if there is one, else the first of the campaign file."""
    names = [policy.name for system in campaign.systems for policy in system.policies]
    return BASELINE if BASELINE in names else names[0]


def episodes_of(
    campaign: reading.Campaign, structures: Mapping[tuple[str, str, int, int], str] | None = None
) -> list[Episode]:
    """All episodes that have begun, in the order of the campaign.

    Args:
        campaign: Its record.
        structures: Names of candidates by system, policy, number of the episode and index of the evaluation, where
            equal ones are not written equally; others are named by their JSON.

    Returns:
        Episodes of a budget without a number of evaluations have that of the longest episode of their system.
    """
    structures = structures or {}
    found = []
    for system in campaign.systems:
        begun = [
            episode
            for policy in system.policies
            for episode in policy.episodes
            if episode.evaluations or episode.ended is not None
        ]
        budget = _budget(campaign, begun)
        found += [_episode(episode, budget, structures) for episode in begun]
    return found


def _budget(campaign: reading.Campaign, episodes: Sequence[reading.Episode]) -> int:
    said = (campaign.config.get("budget") or {}).get("evaluations")
    return int(said) if said else max((len(episode.evaluations) for episode in episodes), default=1) or 1


def _episode(episode: reading.Episode, budget: int, structures: Mapping[tuple[str, str, int, int], str]) -> Episode:
    costs = {decision.number: decision.cost for decision in episode.decisions}
    charged: set[int] = set()
    evaluations = []
    for one in episode.evaluations:
        place = (episode.system, episode.policy, episode.number, one.index)
        # A decision that chose several is paid for once.
        cost = {} if one.decision in charged else costs.get(one.decision, {})
        charged.add(one.decision)
        formula = one.candidate.get("reduced_formula")
        evaluations.append(
            Evaluation(
                structure=structures.get(place) or name_of(one.candidate),
                status=one.status,
                score=one.score,
                success=one.success,
                formula=formula if isinstance(formula, str) else None,
                label=label_of(one.candidate),
                details=one.details,
                decision_s=one.latency_s,
                cost=cost,
            )
        )
    return Episode(episode.system, episode.policy, episode.number, budget, tuple(evaluations), episode.ended or "")


def score_label(campaign: reading.Campaign) -> str:
    """What a score is, as far as the record tells: the number of the details that it always is, or is the negative of.

    The names of details have their units. Where there is no such number, or there are several, it is no more than
    ``score``.
    """
    scored = [one for episode in campaign.episodes for one in episode.evaluations if one.score is not None]
    names = [name for name in (scored[0].details if scored else {}) if isinstance(scored[0].details[name], float)]
    for sign, before in ((1, ""), (-1, "\N{MINUS SIGN}")):
        fitting = [name for name in names if all(one.details.get(name) == sign * (one.score or 0.0) for one in scored)]
        if len(fitting) == 1:
            return before + fitting[0]
    return "score"


def latencies_of(episodes: Sequence[Episode]) -> dict[str, list[float]]:
    """For each policy the times from an Outcome to the next decision that rests on it, in s."""
    found: dict[str, list[float]] = {}
    for episode in episodes:
        times = [one.decision_s for one in episode.evaluations if one.decision_s is not None]
        found.setdefault(episode.policy, []).extend(times)
    return found

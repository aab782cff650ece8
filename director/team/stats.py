"""How a team did: response times, throughput, overlap, utilization, success, reuse, tokens and costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from director.team.records import AgentAnswer, Answered


@dataclass(frozen=True)
class AgentStats:
    """How one agent did.

    Attributes:
        agent: Its name.
        asked: How many messages it was asked.
        ok: How many it answered.
        failed: How many it did not, cancelled ones included.
        reused: How many of its answers were used again.
        p50_s: Half of its answers took no longer than this, in s, reused ones aside; None: there are none.
        p95_s: 95 % of them took no longer than this, in s.
        busy_s: How long calls of its model took together, in s.
        utilization: Share of the team's time in which its model was at work, from 0 to 1, for each message that it may
            work on at the same time.
        share: Its share of all calls' time, from 0 to 1.
        tool_calls: How many Tools it called.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        cost_usd: What they cost in US dollars; None: not known.
    """

    agent: str
    asked: int
    ok: int
    failed: int
    reused: int
    p50_s: float | None
    p95_s: float | None
    busy_s: float
    utilization: float
    share: float
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True)
class TeamStats:
    """How a team did.

    Attributes:
        messages: How many messages have ended.
        by_status: How many of them ended how.
        p50_s: Half of them took no longer than this, in s; None: there are none.
        p95_s: 95 % of them took no longer than this, in s.
        wall_s: How long at least one message was being answered, in s.
        messages_per_s: Messages that ended, for each second of that time.
        overlap: Time of all calls of models, divided by that time: 3 means that three were at work at once, on average.
        success_rate: Share of what agents were asked that they answered, from 0 to 1; None: nothing was asked.
        reuse_rate: Share of their answers that were used again.
        cost_usd: What all calls cost in US dollars; None: not known of one of them.
        agents: How each did, the aggregator and the supervisor too.
    """

    messages: int
    by_status: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None
    wall_s: float
    messages_per_s: float
    overlap: float
    success_rate: float | None
    reuse_rate: float | None
    cost_usd: float | None
    agents: tuple[AgentStats, ...]


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which a share of the values lies, with linear interpolation between neighbours.

    Args:
        values: The values; none gives None.
        share: From 0 to 1.

    Raises:
        ValueError: If the share is no share.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: {share} is not between 0 and 1")
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of some spans of time lasts.

    Args:
        spans: Begin and end of each, in s.
    """
    total, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def stats_of(messages: Sequence[Answered], concurrency: Mapping[str, int]) -> TeamStats:
    """How a team did with some messages. Those that have not ended, or whose end nobody saw, are left out.

    Args:
        messages: The messages.
        concurrency: For each agent how many messages it may work on at the same time; 1 if it is not named.
    """
    ended = [message for message in messages if message.status not in ("open", "interrupted")]
    wall_s = covered_s((message.asked_at, message.asked_at + message.took_s) for message in ended)
    told = [answer for message in ended for answer in (*message.answers, *message.extra)]
    agents = [answer for message in ended for answer in message.answers if answer.status != "paused"]
    busy_s = sum(answer.busy_s for answer in told)
    names = dict.fromkeys([*concurrency, *(answer.agent for answer in told)])
    ok = [answer for answer in agents if answer.status == "ok"]
    statuses = [message.status for message in ended]
    return TeamStats(
        messages=len(ended),
        by_status={status: statuses.count(status) for status in dict.fromkeys(statuses)},
        p50_s=percentile((message.took_s for message in ended), 0.5),
        p95_s=percentile((message.took_s for message in ended), 0.95),
        wall_s=wall_s,
        messages_per_s=len(ended) / wall_s if wall_s else 0.0,
        overlap=busy_s / wall_s if wall_s else 0.0,
        success_rate=len(ok) / len(agents) if agents else None,
        reuse_rate=sum(answer.reused for answer in ok) / len(ok) if ok else None,
        cost_usd=cost_of(told),
        agents=tuple(
            _agent(name, [one for one in told if one.agent == name], concurrency.get(name, 1), wall_s, busy_s)
            for name in names
        ),
    )


def cost_of(answers: Iterable[AgentAnswer]) -> float | None:
    """What answers cost together in US dollars; None if that is not known of one that used tokens."""
    costs = [answer.cost_usd for answer in answers if answer.input_tokens or answer.output_tokens]
    return None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)


def tokens_of(answers: Iterable[AgentAnswer]) -> int:
    """How many tokens answers used, sent and received."""
    return sum(answer.input_tokens + answer.output_tokens for answer in answers)


def _agent(
    name: str, answers: Sequence[AgentAnswer], concurrency: int, wall_s: float, total_busy_s: float
) -> AgentStats:
    asked = [answer for answer in answers if answer.status != "paused"]
    times = [answer.ended_at - answer.began_at for answer in asked if answer.calls and answer.status == "ok"]
    busy_s = sum(answer.busy_s for answer in asked)
    return AgentStats(
        agent=name,
        asked=len(asked),
        ok=sum(answer.status == "ok" for answer in asked),
        failed=sum(answer.status in ("failed", "cancelled") for answer in asked),
        reused=sum(answer.reused for answer in asked),
        p50_s=percentile(times, 0.5),
        p95_s=percentile(times, 0.95),
        busy_s=busy_s,
        utilization=busy_s / (wall_s * concurrency) if wall_s else 0.0,
        share=busy_s / total_busy_s if total_busy_s else 0.0,
        tool_calls=sum(len(answer.tool_uses) for answer in asked),
        input_tokens=sum(answer.input_tokens for answer in asked),
        output_tokens=sum(answer.output_tokens for answer in asked),
        cost_usd=cost_of(asked),
    )

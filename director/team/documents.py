"""What a chat tells programs: plain JSON values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from director.team.records import AgentAnswer, Answered
from director.team.session import Team
from director.team.settings import TeamFile
from director.team.stats import stats_of
from director.team.wording import roster


def answer_document(answer: AgentAnswer) -> dict[str, Any]:
    """What became of a message at one agent."""
    found = asdict(answer) | {"tool_uses": [asdict(use) for use in answer.tool_uses]}
    for name in ("key", "began_at", "ended_at"):
        del found[name]
    return found


def message_document(done: Answered) -> dict[str, Any]:
    """A message and what became of it."""
    return {
        "id": done.id,
        "asked_at": datetime.fromtimestamp(done.asked_at, UTC).isoformat(timespec="milliseconds"),
        "message": done.text,
        "batch": done.batch,
        "status": done.status,
        "answer": done.answer or None,
        "aggregated_by": done.aggregated_by or None,
        "error": done.error,
        "who": roster(done.answers),
        "answers": [answer_document(answer) for answer in done.answers],
        "others": [answer_document(answer) for answer in done.extra],
        "events": list(done.events),
        "took_s": done.took_s,
    }


def stats_document(team: TeamFile, messages: Sequence[Answered]) -> dict[str, Any]:
    """How a team did with some messages."""
    return asdict(stats_of(messages, {name: one.concurrency for name, one in team.speakers.items()}))


def status_document(team: Team, how: str, tools: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a team is.

    Args:
        team: The team.
        how: What runs its calls, in words.
        tools: The run whose Tools it may call; None: there is none.
    """
    return {
        "team": team.file.name,
        "mode": team.file.mode,
        "aggregator": None if team.file.aggregator is None else team.file.aggregator.by,
        "runs_by": how,
        "agents": [
            {
                "name": member.name,
                "state": "paused" if member.paused else "ready",
                "model": member.language.model,
                "base_url": member.language.base_url,
                "temperature": member.language.temperature,
                "max_output_tokens": member.language.max_output_tokens,
                "concurrency": member.settings.concurrency,
                "prompt": member.prompt,
                "prompt_changed": member.prompt != member.settings.prompt,
                "tools": member.settings.tools,
            }
            for member in team.members.all
        ],
        "run": tools,
        "history": str(team.history.path),
        "conversation": team.history.conversation,
        "messages_in_history": team.history.last(),
        "messages_open": team.open,
        "reuse": team.reuse,
        "tokens_spent": team.spending.spent,
        "max_tokens": team.spending.limit,
    }

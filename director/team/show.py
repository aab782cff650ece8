"""What a chat shows to people. What models write is shown as plain text: it cannot steer the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from director.team.commands import HELP
from director.team.records import AgentAnswer, Answered

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_red")
STATUS_STYLE = {"ok": "green", "partial": "yellow", "failed": "red", "cancelled": "yellow", "interrupted": "yellow"}
# They change the order in which text is shown, so that it can seem to say something else.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """A text without the characters that steer a terminal, or turn the direction of writing."""
    return "".join(
        letter
        for letter in text
        if letter in "\n\t" or (unicodedata.category(letter) != "Cc" and letter not in _TURNING)
    )


def colour(name: str, names: Sequence[str]) -> str:
    """An agent's colour, by its place in the team."""
    return COLOURS[names.index(name) % len(COLOURS)] if name in names else "white"


def ended_line(answer: AgentAnswer, names: Sequence[str]) -> Text:
    """One line of what somebody has just done."""
    line = Text("  ").append(answer.agent, colour(answer.agent, names))
    if answer.status == "ok" and answer.reused:
        return line.append(" answered as before, without being asked", "dim")
    if answer.status == "ok":
        tools = f", {len(answer.tool_uses)} Tool calls" if answer.tool_uses else ""
        tokens = f"{answer.input_tokens + answer.output_tokens} tokens"
        return line.append(f" answered in {answer.ended_at - answer.began_at:.1f} s, {tokens}{tools}", "dim")
    if answer.status == "paused":
        return line.append(" is paused", "dim")
    return line.append(f" {answer.status}: {clean(answer.error or '')}", "red")


def answered_view(done: Answered, names: Sequence[str]) -> RenderableType:
    """The team's answer."""
    parts: list[RenderableType] = []
    if done.aggregated_by.startswith("merge"):
        parts += _said(done, names)
    elif done.answer:
        parts.append(Padding(Text(clean(done.answer)), (0, 0, 0, 2), expand=False))
    if done.error:
        parts.append(Text(f"  {clean(done.error)}", "red"))
    end = Text("  ").append(done.status, STATUS_STYLE.get(done.status, "white"))
    end.append(f" in {done.took_s:.1f} s", "dim")
    if done.aggregated_by:
        end.append(f" · by {clean(done.aggregated_by)}", "dim")
    return Group(*parts, end)


def _said(done: Answered, names: Sequence[str]) -> list[RenderableType]:
    blocks: list[RenderableType] = []
    for answer in done.answers:
        head = Text("  ").append(answer.agent, f"bold {colour(answer.agent, names)}")
        if answer.status == "ok":
            blocks += [head, Padding(Text(clean(answer.text)), (0, 0, 0, 4), expand=False)]
        elif answer.status == "paused":
            blocks.append(head.append(" is paused and was not asked", "dim"))
        else:
            blocks.append(head.append(f" {answer.status}: {clean(answer.error or '')}", "red"))
    return blocks


def history_view(messages: Sequence[Answered], names: Sequence[str]) -> RenderableType:
    """Messages of the history, with what each agent said."""
    if not messages:
        return Text("  nothing has been said yet", "dim")
    parts: list[RenderableType] = []
    for done in messages:
        head = Text(f"  {done.id} ", "dim").append(clean(done.text), "bold")
        if done.batch is not None:
            head.append(f"  (batch {done.batch})", "dim")
        parts += [head, *(Padding(block, (0, 0, 0, 2), expand=False) for block in _said(done, names))]
        parts += [Text(f"    {clean(event)}", "yellow") for event in done.events]
        how = f"    {done.status}" + (f" · by {clean(done.aggregated_by)}" if done.aggregated_by else "")
        parts.append(Text(how, STATUS_STYLE.get(done.status, "white")))
        if done.answer and not done.aggregated_by.startswith("merge"):
            parts.append(Padding(Text(clean(done.answer)), (0, 0, 0, 4), expand=False))
    return Group(*parts)


def stats_view(stats: Mapping[str, Any], names: Sequence[str]) -> RenderableType:
    """How a team did."""
    if not stats["messages"]:
        return Text("  nothing has been answered yet", "dim")
    ended = ", ".join(f"{count} {status}" for status, count in stats["by_status"].items())
    lines = [
        f"  {stats['messages']} messages ({ended}) in {stats['wall_s']:.1f} s, "
        f"{stats['messages_per_s']:.2f} per second",
        f"  response time p50 {_s(stats['p50_s'])} s, p95 {_s(stats['p95_s'])} s",
        f"  overlap {stats['overlap']:.2f}: so many models were at work at once, on average",
        f"  success {_share(stats['success_rate'])}, reused {_share(stats['reuse_rate'])}, cost "
        + ("not known" if stats["cost_usd"] is None else f"${stats['cost_usd']:.4f}"),
    ]
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("  agent", no_wrap=True)
    with_tools = any(one["tool_calls"] for one in stats["agents"])
    heads = (
        "asked",
        "failed",
        "reused",
        "p50 s",
        "p95 s",
        "at work",
        *(["Tools"] if with_tools else []),
        "tokens in",
        "out",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for one in stats["agents"]:
        if one["asked"]:
            table.add_row(
                Text(f"  {one['agent']}", colour(one["agent"], names)),
                str(one["asked"]),
                Text(str(one["failed"]), "red" if one["failed"] else ""),
                str(one["reused"]),
                _s(one["p50_s"]),
                _s(one["p95_s"]),
                _share(one["utilization"]),
                *([str(one["tool_calls"])] if with_tools else []),
                str(one["input_tokens"]),
                str(one["output_tokens"]),
            )
    costs = [f"{one['agent']} ${one['cost_usd']:.4f}" for one in stats["agents"] if one["asked"] and one["cost_usd"]]
    if costs:
        lines.append(f"  {', '.join(costs)}")
    return Group(*(Text(line) for line in lines), table)


def status_view(status: Mapping[str, Any], names: Sequence[str]) -> RenderableType:
    """How a team is."""
    budget = f" of {status['max_tokens']}" if status["max_tokens"] else ""
    run = status["run"]
    lines = [
        f"  team {status['team']}, mode {status['mode']}, answers aggregated by "
        f"{status['aggregator'] or 'the supervisor'}",
        f"  calls are run by {status['runs_by']}",
        f"  {status['tokens_spent']} tokens spent{budget} · reuse {'on' if status['reuse'] else 'off'}",
        f"  history {status['history']}: {status['messages_in_history']} messages, "
        f"conversation {status['conversation']}",
        f"  Tools of run {run['run']}" if run else "  no run: no Tools",
    ]
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for head in ("  agent", "state", "model", "temperature", "at once", "Tools"):
        table.add_column(head)
    for one in status["agents"]:
        state = Text(one["state"], "yellow" if one["state"] == "paused" else "green")
        if one["prompt_changed"]:
            state.append(", prompt changed", "yellow")
        heat = "default" if one["temperature"] is None else f"{one['temperature']:g}"
        table.add_row(
            Text(f"  {one['name']}", colour(one["name"], names)),
            state,
            clean(one["model"]),
            heat,
            str(one["concurrency"]),
            ", ".join(one["tools"]) or "–",
        )
    return Group(*(Text(line) for line in lines), table)


def help_view() -> RenderableType:
    """What can be typed."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    for command, (arguments, meaning) in HELP.items():
        table.add_row(Text(f"  {command} {arguments}".rstrip(), "cyan"), meaning)
    return Group(table, Text("  Everything else is a message to the team.", "dim"))


def _s(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"

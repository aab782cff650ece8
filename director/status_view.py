"""What ``director status`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from director.live import STATE_STYLE, percent, render, short_duration
from director.report.values import MISSING, brief, clean, compress_hosts, number
from director.service_partition.view import service_table
from director.totals import Totals, add_up, read_totals
from director.view import STATES, accepted, fleet_view

MAX_NODES = 64
MAX_DIRECTORS = 16
MAX_RATES = 16


def status_view(document: Mapping[str, Any], *, elapsed_s: float) -> RenderableType:
    """The Partitions, where their time went, how fast what was, then each node. Of very many nodes, those not up.

    Args:
        document: What ``director status --json`` prints.
        elapsed_s: Time since the run began, or its whole time if it has ended, in s.
    """
    directors = document["directors"]
    view = fleet_view(directors, total=accepted(directors), elapsed_s=elapsed_s)
    state = "open" if document["open"] else "closed" if document["closed_at"] else "not open: its client is gone"
    parts: list[RenderableType] = [Text(f"run {document['run_id']} ({state})"), render(view, 0.0)]
    parts += [_ended(director) for director in directors if director.get("ended")][:MAX_DIRECTORS]
    parts += _accounting(directors)
    rates = [(director["director"], rate) for director in directors for rate in director.get("rates") or ()]
    if rates:
        parts += [Text(), rates_table(rates)]
    nodes = [(director["director"], node) for director in directors for node in director.get("nodes") or ()]
    if len(nodes) > MAX_NODES:
        nodes = [item for item in nodes if item[1]["state"] != "up"]
    if nodes:
        parts += [Text(), node_table(nodes)]
    if document.get("services"):
        parts += [Text(), service_table(document["services"])]
    for director in directors:
        if director.get("failure"):
            where = compress_hosts(director["partition"])
            parts.append(
                Text(f"Director {director['director']} ({where}): {clean(director['failure'], 2000)}", style="red")
            )
    return Group(*parts)


def accounting_table(rows: Sequence[tuple[str, Totals]]) -> Table:
    """Where the time went: node-hours by part, simulated time and utilization, a line for each name.

    Args:
        rows: What to name each line, and its totals.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("node-h", no_wrap=True)
    for name in ("held", "kept", "start-up", "lost", "idle", "wasted", "ns", "ns/node-h", "util"):
        table.add_column(name, no_wrap=True, justify="right")
    for name, totals in rows:
        hours = (
            totals.node_hours,
            totals.kept_node_hours,
            totals.startup_node_hours,
            totals.lost_node_hours,
            totals.idle_node_hours,
        )
        per_hour = totals.ns_per_node_hour
        table.add_row(
            Text(name),
            *(node_hours(value) for value in hours),
            wasted(totals),
            brief(totals.simulated_ns) if totals.simulated_ns else MISSING,
            brief(per_hour) if per_hour else MISSING,
            percent(totals.utilization),
        )
    return table


def rates_table(rates: Sequence[tuple[int, Mapping[str, Any]]]) -> Table:
    """What was learned of how long Requests take, as `DirectorAgent.status` gives it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Director", "Tool", "size", "accelerator"):
        table.add_column(name, overflow="fold")
    for name in ("amount/day", "start-up", "attempt", "n"):
        table.add_column(name, no_wrap=True, justify="right")
    for director, rate in rates[:MAX_RATES]:
        speed = rate.get("amount_per_day")
        table.add_row(
            str(director),
            Text(clean(rate["tool"], 40)),
            Text(clean(rate.get("size") or MISSING, 60)),
            Text(clean(rate.get("accelerator") or MISSING, 40)),
            Text(f"{number(speed)} {clean(rate.get('unit') or '', 10)}/d" if speed is not None else MISSING),
            short_duration(rate.get("startup_s")),
            short_duration(rate.get("whole_s")),
            f"{rate['n']:,}",
        )
    if len(rates) > MAX_RATES:
        table.caption = Text(f"… and {len(rates) - MAX_RATES:,} more", style="dim")
        table.caption_justify = "left"
    return table


def node_table(nodes: Sequence[tuple[int, Mapping[str, Any]]]) -> Table:
    """How each node is, with the index of its Director."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Director", "node", "state", "since (UTC)", "workers", "accelerators", "reason"):
        table.add_column(name, overflow="fold")
    for director, node in nodes:
        since = (node.get("since") or "").replace("T", " ").removesuffix("+00:00")
        table.add_row(
            str(director),
            Text(clean(node["hostname"], 255)),
            Text(node["state"], style=STATE_STYLE[STATES.get(node["state"], "lost")]),
            since,
            str(node["workers"]),
            Text(clean(" ".join(node.get("accelerators") or ()), 60)),
            Text(clean(node["reason"] or "", 400)),
        )
    return table


def node_hours(value: float) -> str:
    """Hours of whole nodes, to a thousandth below 10 and to four digits above."""
    return number(round(value, 3), 3) if value < 10 else number(value)


def wasted(totals: Totals) -> str:
    """Hours in which nothing was done that lasted, with their share of what was held."""
    share = totals.wasted_node_hours / totals.node_hours if totals.node_hours > 0 else 0.0
    return f"{node_hours(totals.wasted_node_hours)} ({percent(share)})"


def _accounting(directors: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    known = [(f"D{item['director']}", read_totals(item.get("accounting"))) for item in directors]
    rows = [(name, totals) for name, totals in known if totals is not None]
    whole = add_up(totals for _, totals in rows)
    if whole is None or not whole.node_hours:
        return []
    lines = rows[:MAX_DIRECTORS] if len(rows) > 1 else []
    lost = {
        name: count for name, count in whole.endings.items() if name not in ("ok", "failed", "timeout", "cancelled")
    }
    parts: list[RenderableType] = [Text(), accounting_table([*lines, ("all", whole)])]
    remarks = [f"{count:,} attempts {name.replace('_', ' ')}" for name, count in sorted(lost.items())]
    remarks += [f"{whole.reused:,} Requests answered by earlier results"] if whole.reused else []
    return [*parts, Text("; ".join(remarks), style="dim")] if remarks else parts


def _ended(director: Mapping[str, Any]) -> Text:
    """What a Director said in the end."""
    said = director["ended"]
    counts = [f"{said[name]:,} {name}" for name in ("done", "paused", "queued") if isinstance(said.get(name), int)]
    at = clean(said["at"], 40).replace("T", " ")[:19]
    reason = clean(said.get("reason") or "no reason was given", 300)
    return Text(f"Director {director['director']} ended at {at} UTC ({reason}): {', '.join(counts)}", style="dim")

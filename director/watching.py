"""Shows a run while its Outcomes pass through."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from director.fleet import Fleet
from director.live import STATE_STYLE, FleetView, LiveView, PartitionState, PartitionView, render
from director.report.values import clean, compress_hosts
from simulations.records import Outcome

POLL_S = 0.5
MAX_NODES = 64
STATES: dict[str, PartitionState] = {
    "starting": "starting",
    "up": "up",
    "draining": "draining",
    "closed": "closed",
}


async def watch(
    fleet: Fleet, outcomes: AsyncIterator[Outcome], *, total: int | None = None, console: Console | None = None
) -> AsyncIterator[Outcome]:
    """Passes Outcomes through, with a live view of the Fleet on standard error meanwhile.

    Args:
        fleet: The Fleet that they come from.
        outcomes: Such as ``fleet.map(requests)``.
        total: How many there will be; None: as many as the Directors have accepted.
        console: Where to show; None: standard error.
    """
    begin = time.monotonic()
    speeds: dict[int, dict[str, float]] = {}

    async def look() -> FleetView:
        statuses = await fleet.status()
        known = accepted(statuses) if total is None else total
        return fleet_view(statuses, total=known, elapsed_s=time.monotonic() - begin, speeds=speeds)

    with LiveView(console) as view:

        async def poll() -> None:
            while True:
                view.update(await look())
                await asyncio.sleep(POLL_S)

        polling = asyncio.create_task(poll(), name="watch")
        try:
            async for outcome in outcomes:
                if outcome.result and outcome.worker and "ns_per_day" in outcome.result:
                    speeds.setdefault(outcome.director, {})[outcome.worker] = outcome.result["ns_per_day"]
                yield outcome
            view.update(await look())
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling


def accepted(statuses: Sequence[Mapping[str, Any]]) -> int:
    """How many Requests Directors have accepted, by what `Fleet.status` says. Pure."""
    still_open = sum(status.get("queued", 0) + status.get("running", 0) for status in statuses)
    ended: int = sum(sum(status.get("finished", {}).values()) for status in statuses)
    return int(still_open) + ended


def fleet_view(
    statuses: Sequence[Mapping[str, Any]],
    *,
    total: int,
    elapsed_s: float,
    speeds: Mapping[int, Mapping[str, float]] | None = None,
) -> FleetView:
    """What `Fleet.status` says, as a view. Pure.

    Args:
        statuses: One for each Director.
        total: How many Requests the run has.
        elapsed_s: Time since the run began, in s.
        speeds: For each Director the latest ns/day of each of its workers, from Outcomes; more telling than the
            progress of what runs at this moment, which short simulations do not report.
    """
    return FleetView(
        partitions=tuple(_partition_view(status, (speeds or {}).get(status["director"], {})) for status in statuses),
        total=total,
        elapsed_s=elapsed_s,
    )


def _partition_view(status: Mapping[str, Any], speeds: Mapping[str, float]) -> PartitionView:
    finished = status.get("finished", {})
    return PartitionView(
        index=status["director"],
        hosts=tuple(status["partition"]),
        state=STATES.get(status["state"], "lost"),
        workers_up=status.get("workers_up", 0),
        workers=status.get("workers", 0),
        queued=status.get("queued", 0),
        running=status.get("running", 0),
        done=sum(finished.values()),
        failed=sum(count for name, count in finished.items() if name != "ok"),
        ns_per_day=sum(speeds.values()) or status.get("ns_per_day"),
        eta_s=status.get("eta_s"),
    )


def _node_table(nodes: Sequence[tuple[int, Mapping[str, Any]]]) -> Table:
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


def status_view(document: Mapping[str, Any], *, elapsed_s: float) -> RenderableType:
    """What ``director status`` prints: the Partitions, then each node. Of very many, those that are not up.

    Args:
        document: What ``director status --json`` prints.
        elapsed_s: Time since the run began, or its whole time if it has ended, in s.
    """
    directors = document["directors"]
    view = fleet_view(directors, total=accepted(directors), elapsed_s=elapsed_s)
    state = "open" if document["open"] else "closed" if document["closed_at"] else "not open: its client is gone"
    parts: list[RenderableType] = [Text(f"run {document['run_id']} ({state})"), render(view, 0.0)]
    nodes = [(director["director"], node) for director in directors for node in director.get("nodes", [])]
    if len(nodes) > MAX_NODES:
        nodes = [item for item in nodes if item[1]["state"] != "up"]
    if nodes:
        parts.append(_node_table(nodes))
    for director in directors:
        if director.get("failure"):
            where = compress_hosts(director["partition"])
            parts.append(
                Text(f"Director {director['director']} ({where}): {clean(director['failure'], 2000)}", style="red")
            )
    return Group(*parts)

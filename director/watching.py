"""Shows a run while its Outcomes pass through."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from rich.console import Console

from director.fleet import Fleet
from director.live import LiveView
from director.view import FleetView, accepted, fleet_view
from simulations.records import Outcome

POLL_S = 0.5


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
                if outcome.result and outcome.worker and not outcome.reused_from and "ns_per_day" in outcome.result:
                    speeds.setdefault(outcome.director, {})[outcome.worker] = outcome.result["ns_per_day"]
                yield outcome
            view.update(await look())
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling

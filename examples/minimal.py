"""The whole pattern on one screen: 2 Directors, 4 logical nodes, 16 real simulations of a peptide."""

import asyncio
from datetime import datetime
from pathlib import Path

from rich.console import Console

from director import Fleet, outcome_table, report_run, sweep, watch


async def main() -> None:
    """Launches Directors, maps requests over them, and shows what comes back."""
    console = Console()
    run_dir = Path("runs") / f"minimal-{datetime.now():%Y%m%d-%H%M%S}"
    requests = sweep(
        "md",
        structure="ala10",
        steps=5000,
        report_interval_steps=100,
        temperature_k=[280, 300, 320, 340],
        seed=range(1, 5),
    )

    async with Fleet.launch(directors=2, nodes=4, run_dir=run_dir) as fleet:
        outcomes = [outcome async for outcome in watch(fleet, fleet.map(requests), total=len(requests))]

    console.print(outcome_table(outcomes))
    console.print(f"Open the report in a browser: {report_run(run_dir)}", soft_wrap=True)


asyncio.run(main())

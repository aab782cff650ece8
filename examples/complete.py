"""The whole pattern: an endpoint, one batch job of 4 nodes, 2 Directors with 2 nodes each, and batches of real MD.

On this machine, with the engine of an endpoint and 4 logical nodes, without any login:

    python examples/complete.py

At a facility, through Globus Compute, with an endpoint that `director endpoint configure` has set up there:

    python examples/complete.py --endpoint UUID --set queue=debug --set account=MYPROJECT

The policy is the simplest there is: warm the peptide up at several temperatures, then go on where it has opened most.
"""

import argparse
import asyncio
import os
from datetime import datetime
from pathlib import Path

from rich.console import Console

from director import (
    EmbeddedSite,
    Fleet,
    GlobusSite,
    Refused,
    choose_exchange,
    outcome_table,
    report_outcomes,
    sweep,
    template_options,
    watch,
)

DIRECTORS, NODES = 2, 4


async def main(asked: argparse.Namespace) -> None:
    """Launches Directors, has a bad input refused, and runs two batches, the second by what came of the first."""
    console = Console()
    run_dir = Path(asked.run_dir or f"runs/complete-{datetime.now():%Y%m%d-%H%M%S}")
    if asked.endpoint:
        site = GlobusSite(asked.endpoint, template_options(asked.set))
        exchange = choose_exchange(asked.exchange or "hosted", asked.exchange_secret, os.environ)
    else:
        site = EmbeddedSite("local", {}, {"directors": DIRECTORS, "nodes": NODES})
        exchange = None  # one of this run's own

    console.print(f"[bold]1. {DIRECTORS} Directors for {NODES} nodes[/bold]")
    launching = Fleet.launch(DIRECTORS, NODES, run_dir=run_dir, site=site, exchange=exchange, wait_s=asked.wait_s)
    async with launching as fleet:
        for index, hosts in enumerate(fleet.record.partitions):
            console.print(f"Director {index} owns {', '.join(hosts)}")

        console.print("\n[bold]2. An input that cannot be right is refused before anything starts[/bold]")
        try:
            await fleet.run("md", structure="ala10", steps=asked.steps, timestep_fs=50)
        except Refused as refusal:
            console.print(str(refusal), soft_wrap=True)

        console.print("\n[bold]3. Eight simulations, at four temperatures[/bold]")
        first = sweep("md", structure="ala10", steps=asked.steps, temperature_k=[280, 320, 360, 400], seed=[1, 2])
        outcomes = [outcome async for outcome in watch(fleet, fleet.map(first), total=len(first))]

        def opened(temperature_k: float) -> float:
            mine = [o.result["radius_of_gyration_nm"] for o in outcomes if o.inputs["temperature_k"] == temperature_k]
            return sum(mine) / len(mine)

        best = max({outcome.inputs["temperature_k"] for outcome in outcomes}, key=opened)
        console.print(f"\n[bold]4. Four more at {best:g} K, where it has opened most ({opened(best):.3f} nm)[/bold]")
        more = sweep("md", structure="ala10", steps=asked.steps, temperature_k=best, seed=range(3, 7))
        stream = watch(fleet, fleet.map(more), total=len(first) + len(more))
        outcomes += [outcome async for outcome in stream]

        console.print(outcome_table(outcomes))
        structure = next(o for o in outcomes if o.inputs["temperature_k"] == best).artifacts["final_structure"]
        file = run_dir / "fetched" / "final_structure.pdb"
        size = await fleet.fetch(structure, file)
        console.print(f"fetched a final structure: {file} ({size:,} bytes)", soft_wrap=True)
        page = report_outcomes(run_dir, fleet.record, outcomes)
    console.print(f"Open the report in a browser: {page}", soft_wrap=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", help="id of a Globus Compute endpoint; without it: this machine")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="option of its template")
    parser.add_argument("--exchange", help="where Directors answer: an URL, or hosted")
    parser.add_argument("--exchange-secret", type=Path, help="file with the exchange's secret")
    parser.add_argument("--steps", type=int, default=5000, help="steps of each simulation")
    parser.add_argument("--wait-s", type=float, default=3600, help="how long to wait for the job, in s")
    parser.add_argument("--run-dir", help="folder for the run")
    asyncio.run(main(parser.parse_args()))

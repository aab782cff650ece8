"""``director run``: a batch file, from beginning to end, on the nodes of this job or on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from director.batch import Batch, read_batch
from director.cli.console import OK, SOME_NOT_OK, emit, endings, err_console
from simulations.records import Outcome, Status
from simulations.tool import find_tools


def run(
    batch: Annotated[Path, typer.Argument(help="What to run: a batch file in YAML or JSON.")],
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the run; it must not hold one yet. Default: runs/NAME-TIME."),
    ] = None,
    allocation: Annotated[
        str,
        typer.Option(help="auto, local, slurm, pbs, lsf or flux; auto: the batch job that this runs in, if any."),
    ] = "auto",
    launcher: Annotated[
        str | None, typer.Option(help="How workers are started: auto, srun, hydra, openmpi, pals or process.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each Outcome as a line of JSON, as it completes.")
    ] = False,
    report: Annotated[bool, typer.Option(help="Write report.html into the run folder.")] = True,
) -> None:
    """Launch Directors here, in a batch job or on any machine, run a batch, and show Outcomes as they complete."""
    folder = run_dir or Path("runs") / f"{batch.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    hint = f"What was done: director status {folder}, director outcomes {folder}"
    with endings(as_json, refused="refused; nothing was started", hint=hint):
        tools = find_tools()
        what = read_batch(batch, tools)
        chosen = {"launcher": launcher} if launcher else {}
        outcomes = asyncio.run(_run(what, folder, as_json, allocation, chosen))
        if report:
            from director.report import report_run

            path = report_run(folder)
            err_console().print(f"report: {path}", soft_wrap=True)
    raise typer.Exit(OK if all(outcome.status is Status.OK for outcome in outcomes) else SOME_NOT_OK)


async def _run(what: Batch, folder: Path, as_json: bool, allocation: str, chosen: Mapping[str, str]) -> list[Outcome]:
    from director.fleet import Fleet
    from director.live import outcome_table
    from director.watching import watch

    outcomes = []
    console = err_console()
    # Where Outcomes go to the same terminal, a view that is redrawn in place would be torn apart.
    torn = as_json and sys.stdout.isatty()
    view = Console(stderr=True, force_terminal=False) if torn else None
    file = what.file
    async with Fleet.launch(
        directors=file.directors,
        nodes=file.nodes,
        run_dir=folder,
        allocation=allocation,
        shares=file.shares,
        hosts=file.hosts,
        accelerators=file.accelerators,
        workers_per_node=file.workers_per_node,
        threads_per_worker=file.threads_per_worker,
        pool={**file.pool, **chosen},
    ) as fleet:
        stream = fleet.map(what.requests, base=what.base)
        async for outcome in watch(fleet, stream, total=len(what.requests), console=view):
            outcomes.append(outcome)
            if as_json:
                emit(outcome.model_dump_json())
    if not as_json:
        console.print(outcome_table(outcomes))
    return outcomes

"""``director run``: a batch file, from beginning to end, on the nodes of this job or on this machine."""

from __future__ import annotations

import asyncio
import enum
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from director.batch import Batch, read_batch
from director.cli.console import OK, SOME_NOT_OK, emit, endings, err_console
from director.cli.submit import SetOption
from director.cli.target import ExchangeOption, SecretOption
from director.door import Problem, Refused
from simulations.records import Outcome, Status
from simulations.tool import find_tools

LOCAL_WAIT_S = 120.0
QUEUE_WAIT_S = 86_400.0


class SiteName(enum.StrEnum):
    """Where Directors can be launched by ``director run``."""

    LOCAL = "local"
    EMBEDDED = "embedded"


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
    site: Annotated[
        SiteName, typer.Option(help="Where Directors run: local, or embedded, in an endpoint's engine started here.")
    ] = SiteName.LOCAL,
    template: Annotated[str, typer.Option(help="With --site embedded: the endpoint template.")] = "local",
    installed: Annotated[
        list[str] | None,
        typer.Option("--option", help="With --site embedded: an installer's option of the template: NAME=VALUE."),
    ] = None,
    settings: SetOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
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
        where: dict[str, Any] = {"allocation": allocation}
        if launcher:
            where["pool"] = {**what.file.pool, "launcher": launcher}
        if site is SiteName.EMBEDDED:
            where |= _embedded(what, folder, template, installed or [], settings or [], exchange, exchange_secret)
        outcomes = asyncio.run(_run(what, folder, as_json, where))
        if report:
            from director.report import report_run

            path = report_run(folder)
            err_console().print(f"report: {path}", soft_wrap=True)
    raise typer.Exit(OK if all(outcome.status is Status.OK for outcome in outcomes) else SOME_NOT_OK)


def _embedded(
    what: Batch,
    folder: Path,
    template: str,
    installed: list[str],
    settings: list[str],
    exchange: str | None,
    exchange_secret: Path | None,
) -> dict[str, Any]:
    """What `Fleet.launch` is given for an engine that is started here.

    Raises:
        Refused: If the template, an option or the exchange is not acceptable.
    """
    from director.exchange import choose
    from director.sites.embedded import EmbeddedSite
    from director.submitting import options_of
    from endpoint_templates import TemplateError, find, options_from

    try:
        found = find(template)
        given = options_from(installed, found.parameters)
    except TemplateError as error:
        raise Refused([Problem(error.where, error.message, error.hint)]) from None
    local = found.scheduler == "local"
    nodes = what.file.nodes or (what.file.directors if local else None)
    if nodes is None:
        raise Refused([Problem("nodes", "is not given", "Say in the batch file how many nodes the job is to have")])
    choice = choose(exchange, exchange_secret, os.environ)
    if choice.kind == "loopback" and not local:
        hint = "Start one that the job's nodes reach: director exchange --host …; and name it with --exchange"
        raise Refused([Problem("exchange", "that of this machine's loopback cannot be reached from a job", hint)])
    options = {**options_of(settings), "directors": what.file.directors, "nodes": nodes}
    site = EmbeddedSite(template, given, options, None if local else folder)
    return {"nodes": nodes, "site": site, "exchange": choice, "wait_s": LOCAL_WAIT_S if local else QUEUE_WAIT_S}


async def _run(what: Batch, folder: Path, as_json: bool, where: Mapping[str, Any]) -> list[Outcome]:
    from director.fleet import Fleet
    from director.live import outcome_table
    from director.watching import watch

    outcomes = []
    console = err_console()
    # Where Outcomes go to the same terminal, a view that is redrawn in place would be torn apart.
    torn = as_json and sys.stdout.isatty()
    view = Console(stderr=True, force_terminal=False) if torn else None
    file = what.file
    asked = {
        "directors": file.directors,
        "nodes": file.nodes,
        "shares": file.shares,
        "hosts": file.hosts,
        "accelerators": file.accelerators,
        "workers_per_node": file.workers_per_node,
        "threads_per_worker": file.threads_per_worker,
        "pool": file.pool,
        **where,
    }
    async with Fleet.launch(run_dir=folder, **asked) as fleet:
        stream = fleet.map(what.requests, base=what.base)
        async for outcome in watch(fleet, stream, total=len(what.requests), console=view):
            outcomes.append(outcome)
            if as_json:
                emit(outcome.model_dump_json())
    if not as_json:
        console.print(outcome_table(outcomes))
    return outcomes

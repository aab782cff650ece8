"""``director run``: a batch, or what is left of one, on the nodes of this job or on this machine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.batch import Batch, read_batch
from director.cli.console import endings, resume_command
from director.cli.options import (
    AllocationOption,
    InstalledOption,
    NoReuseOption,
    ReserveOption,
    ReuseFromOption,
    SetOption,
    SiteName,
    SiteOption,
    TemplateOption,
    WalltimeOption,
    terms_of,
)
from director.cli.running import End, say, through
from director.cli.target import ExchangeOption, SecretOption
from director.cli.tuned import tuned
from director.door import Problem, Refused
from simulations.records import Outcome
from simulations.tool import find_tools

if TYPE_CHECKING:
    from director.fleet import Fleet

LOCAL_WAIT_S = 120.0
QUEUE_WAIT_S = 86_400.0


def run(
    batch: Annotated[
        Path | None, typer.Argument(help="What to run: a batch file in YAML or JSON. None with --resume.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the run; it must not hold one yet. Default: runs/NAME-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Finish what is open in this run folder, whose Directors are gone, here or in another job. "
            "With --json only Outcomes that complete now are printed; the exit code is that of the whole run.",
        ),
    ] = None,
    allocation: AllocationOption = "auto",
    nodes: Annotated[
        int | None, typer.Option(min=1, help="How many nodes, instead of what the batch file or the run says.")
    ] = None,
    shares: Annotated[
        str | None, typer.Option(help="Weights, one per Director, instead of those of the batch file or the run: 1,2.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option(help="Hosts of one Director, instead of shares: node[1-3]. Once for each.")
    ] = None,
    launcher: Annotated[
        str | None, typer.Option(help="How workers are started: auto, srun, hydra, openmpi, pals or process.")
    ] = None,
    walltime: WalltimeOption = None,
    reserve: ReserveOption = None,
    no_reuse: NoReuseOption = False,
    reuse_from: ReuseFromOption = None,
    tuning: Annotated[
        bool, typer.Option(help="Go by what `director tune` has measured here, if nothing else says how many workers.")
    ] = True,
    site: SiteOption = SiteName.LOCAL,
    template: TemplateOption = "local",
    installed: InstalledOption = None,
    settings: SetOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each Outcome as a line of JSON, as it completes.")
    ] = False,
    report: Annotated[bool, typer.Option(help="Write report.html into the run folder.")] = True,
) -> None:
    """Launch Directors here, in a batch job or on any machine, run a batch, and show Outcomes as they complete.

    On SIGTERM, SIGUSR1 and Ctrl-C, and when the walltime is over, what runs saves what it has done, and
    `director run --resume RUN` finishes it. Exit codes: 0 every Outcome of the run is ok, 1 some are not or are
    missing, 2 refused before anything started, 3 the run failed, 130 interrupted.
    """
    folder = resume or run_dir or Path("runs") / f"{batch.stem if batch else ''}-{datetime.now():%Y%m%d-%H%M%S}"
    hint = f"What was done: director status {folder}. To finish it: {resume_command(folder)}"
    with endings(as_json, refused="refused; nothing was started", hint=hint):
        asked: dict[str, Any] = terms_of(allocation, walltime, reserve)
        given = _given(nodes=nodes, shares=_weights(shares), hosts=hosts)
        stores = list(reuse_from or [])
        if resume is not None:
            if batch is not None or run_dir is not None or site is not SiteName.LOCAL:
                message = "goes with no batch file, --run-dir or --site: the run says what is left to do"
                raise Refused([Problem("--resume", message, "Leave them out")])
            asked |= {**given, "reuse": not no_reuse, "reuse_from": stores, "pool": {"launcher": launcher}}
            end = asyncio.run(_resume(folder, as_json, asked))
        elif batch is None:
            raise Refused([Problem("BATCH", "is not given", "Name a batch file, or a run folder with --resume")])
        else:
            what = read_batch(batch, find_tools())
            asked |= of_file(what) | given
            asked |= {"reuse": what.file.reuse and not no_reuse, "reuse_from": [*what.stores, *stores]}
            if launcher:
                asked["pool"] = {**what.file.pool, "launcher": launcher}
            if site is SiteName.EMBEDDED:
                asked |= embedded(what, folder, template, installed or [], settings or [], exchange, exchange_secret)
            elif tuning:
                asked |= tuned(what, asked, say)
            end = asyncio.run(_run(what, folder, as_json, asked))
        if report and end.began:
            from director.report import report_run

            say(f"report: {report_run(folder)}")
    raise typer.Exit(end.code)


def _given(**options: Any) -> dict[str, Any]:
    """Options that were given. Shares and hosts are two ways to say the same, so one of them replaces both."""
    found = {name: value for name, value in options.items() if value is not None}
    if "shares" in found or "hosts" in found:
        found = {"shares": None, "hosts": None, **found}
    return found


def _weights(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise Refused([Problem("--shares", f"{text!r} is not a list of numbers", "Write 1,2,1")]) from None


def of_file(what: Batch) -> dict[str, Any]:
    """What a batch file says of Directors, by the names of `director.launching`'s arguments."""
    names = ("directors", "nodes", "shares", "hosts", "accelerators", "workers_per_node", "threads_per_worker", "pool")
    more = {"tools": what.tools, "services": what.services}
    return {name: getattr(what.file, name) for name in names} | more


def embedded(
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


async def _run(what: Batch, folder: Path, as_json: bool, asked: Mapping[str, Any]) -> End:
    from director.fleet import Fleet

    launching = Fleet.launch(run_dir=folder, **asked)
    end = End(folder, total=len(what.requests))
    return await through(
        launching,
        lambda fleet: fleet.map(what.requests, base=what.base),
        end,
        as_json=as_json,
        reserve_s=asked["reserve_s"],
    )


async def _resume(folder: Path, as_json: bool, asked: Mapping[str, Any]) -> End:
    from director.fleet import Fleet
    from director.resuming import NothingOpen

    end = End(folder)

    def remaining(fleet: Fleet) -> AsyncIterator[Outcome]:
        assert fleet.left is not None  # noqa: S101  (it was resumed)
        end.resumes(fleet.left)
        if not as_json:
            say(f"{end.before} of {end.total} requests are done; {fleet.left.count} are left")
        return fleet.remaining()

    try:
        launching = Fleet.resume(folder, **asked)
        return await through(launching, remaining, end, as_json=as_json, reserve_s=asked["reserve_s"])
    except NothingOpen as error:
        end.resumes(error.left)
        end.began = False
        said = {"nothing_open": {"run": str(folder), "finished": dict(error.left.ended)}}
        text = f"nothing is open: all {end.before} requests of {folder} have an Outcome"
        typer.echo(json.dumps(said) if as_json else text, err=True)
        return end

"""Commands that look: at Tools, and at runs that are open or long done."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from director.cli.console import OK, RUN_FAILED, SOME_NOT_OK, JsonOption, emit, endings, err_console
from director.cli.target import ExchangeOption, RunArgument, SecretOption, Target, find_target
from director.door import Problem, Refused
from director.history import History, read_history, read_passages
from director.ledger import LedgerError
from director.runfolder import RunFolder
from director.service_partition.view import services_view
from director.toolbox import read_tools, tools_with
from director.totals import add_up
from simulations.records import Outcome, Status
from simulations.tool import find_tools


def tools(
    name: Annotated[str | None, typer.Argument(help="Name of one Tool, to see its JSON schema.")] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="A tool file, whose Tool is shown too if it can be used. May be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the installed Tools, or print the JSON schema of one."""
    with endings(as_json):
        found = tools_with([source.definition for source in read_tools(file or [])], find_tools())
        if name is not None:
            if name not in found:
                hint = f"Installed tools: {', '.join(sorted(found))}"
                raise Refused([Problem("NAME", f"there is no tool {name!r}", hint)])
            schema = found[name].schema()
            emit(schema if as_json else json.dumps(schema, indent=2))
        elif as_json:
            emit([tool.schema() for tool in found.values()])
        else:
            for tool in sorted(found.values(), key=lambda tool: tool.name):
                typer.echo(f"{tool.name} (version {tool.version}): {tool.summary}")


def status(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a run's Directors are: live while the run is open, from its ledgers afterwards."""
    with endings(as_json):
        target = find_target(run, exchange, exchange_secret)
        document = asyncio.run(_elsewhere(target)) if target.folder is None else _here(target.folder)
        totals = add_up(director.get("accounting") for director in document["directors"])
        document["accounting"] = totals.model_dump(mode="json") if totals else None
        if as_json:
            emit(document)
        else:
            from director.status_view import status_view

            ended = datetime.fromisoformat(document["closed_at"]) if document["closed_at"] else datetime.now(UTC)
            begun = datetime.fromisoformat(document["created_at"]) if document["created_at"] else ended
            Console().print(status_view(document, elapsed_s=(ended - begun).total_seconds()))
    raise typer.Exit(OK if document["directors"] or target.folder else RUN_FAILED)


def _here(folder: RunFolder) -> dict[str, Any]:
    record = folder.read()
    # An open run with many Outcomes answers at once; its ledgers take a while to read.
    live = asyncio.run(_live(folder)) if folder.exchange_file.exists() else None
    if live is None:
        history = history_of(folder)
        record = history.record
        with _readable(folder):
            directors = history.states(read_passages(history, tools_with(record.tools)))
    return {
        "run_id": record.run_id,
        "created_at": record.created_at.isoformat(),
        "closed_at": record.closed_at.isoformat() if record.closed_at else None,
        "open": live is not None,
        "directors": directors if live is None else live,
        "services": services_view(folder.path, record),
    }


async def _elsewhere(target: Target) -> dict[str, Any]:
    from director.situation import situation_of

    return await situation_of(target.run, target.fleet)


async def _live(folder: RunFolder) -> list[dict[str, Any]] | None:
    from director.fleet import DirectorLost, Fleet

    try:
        async with await Fleet.attach(folder.path) as fleet:
            return await fleet.status()
    except DirectorLost as error:
        err_console().print(f"{error}; showing what is in the ledgers")
        return None


def outcomes(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
    only: Annotated[Status | None, typer.Option("--status", help="Only Outcomes with this status.")] = None,
) -> None:
    """Print a run's Outcomes: with --json one line each, in the order in which they were journaled."""
    with endings(as_json):
        target = find_target(run, exchange, exchange_secret)
        every = asyncio.run(fetched_outcomes(target)) if target.folder is None else history_of(target.folder).outcomes
        found = [outcome for outcome in every if only in (None, outcome.status)]
        if as_json:
            for outcome in found:
                emit(outcome.model_dump_json())
        else:
            from director.live import outcome_table

            Console().print(outcome_table(found))
    raise typer.Exit(OK if all(outcome.status is Status.OK for outcome in found) else SOME_NOT_OK)


async def fetched_outcomes(target: Target) -> list[Outcome]:
    """The Outcomes of a run that was submitted: what its Directors have, and what was fetched before."""
    from director.call import DirectorLost
    from director.exchange import ExchangeError

    kept = target.store.outcomes(target.run_id) if target.run else {}
    fresh: list[Outcome] = []
    try:
        async with await target.fleet() as fleet:
            if target.run:
                target.store.keep_record(fleet.record)
            async for outcome in fleet.outcomes():
                if outcome.id not in kept:
                    fresh.append(outcome)  # noqa: PERF401  (what came before an error is kept)
    except (DirectorLost, ExchangeError) as error:
        if target.run is None:
            raise
        hint = f"These were fetched before; `director resume {target.run_id}` makes all available"
        err_console().print(f"{error}. {hint}", soft_wrap=True, markup=False)
    if target.run:
        target.store.keep(target.run_id, fresh)
    return [*kept.values(), *fresh]


def report(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's report: one HTML file, report.html in the run folder, or where a submitted run is remembered."""
    with endings(as_json):
        from director.report import report_outcomes, report_run

        target = find_target(run, exchange, exchange_secret)
        if target.folder is not None:
            path = report_run(target.folder.path)
        else:
            submitted = target.remembered()
            found = asyncio.run(fetched_outcomes(target))
            record = target.store.record(submitted.run_id)
            if record is None:
                message = f"no Director of run {submitted.run_id} has answered yet"
                raise Refused([Problem("RUN", message, f"See where it is: director status {submitted.run_id}")])
            folder = target.store.folder(submitted.run_id).path
            path = report_outcomes(folder, record, found, title=submitted.name)
        emit({"report": str(path)} if as_json else str(path))


def history_of(folder: RunFolder) -> History:
    """What a run folder tells.

    Raises:
        Refused: If there is no run in it, or a ledger cannot be read.
    """
    with _readable(folder):
        return read_history(folder)


@contextlib.contextmanager
def _readable(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise Refused(
            [Problem("run", str(error), f"See what can be read: director ledger check {folder.path}")]
        ) from None

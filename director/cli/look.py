"""Commands that look: at Tools, and at runs that are open or long done."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from director.cli.console import OK, SOME_NOT_OK, emit, endings, err_console
from director.door import Problem, Refused
from director.history import History, read_history
from director.runfolder import RunFolder
from simulations.records import Status
from simulations.tool import find_tools

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]


def tools(
    name: Annotated[str | None, typer.Argument(help="Name of one Tool, to see its JSON schema.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the installed Tools, or print the JSON schema of one."""
    with endings(as_json):
        found = find_tools()
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


def status(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show how a run's Directors are: live while the run is open, from its ledgers afterwards."""
    with endings(as_json):
        folder = RunFolder(run.resolve())
        history = _history(folder)
        live = asyncio.run(_live(folder)) if folder.exchange_file.exists() else None
        document = {
            "run_id": history.record.run_id,
            "created_at": history.record.created_at.isoformat(),
            "closed_at": history.record.closed_at.isoformat() if history.record.closed_at else None,
            "open": live is not None,
            "directors": live or history.states(),
        }
        if as_json:
            emit(document)
        else:
            from director.watching import status_view

            ended = history.record.closed_at or datetime.now(UTC)
            elapsed_s = (ended - history.record.created_at).total_seconds()
            Console().print(status_view(document, elapsed_s=elapsed_s))


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
    as_json: JsonOption = False,
    only: Annotated[Status | None, typer.Option("--status", help="Only Outcomes with this status.")] = None,
) -> None:
    """Print a run's Outcomes: with --json one line each, in the order in which they were journaled."""
    with endings(as_json):
        found = [outcome for outcome in _history(RunFolder(run.resolve())).outcomes if only in (None, outcome.status)]
        if as_json:
            for outcome in found:
                emit(outcome.model_dump_json())
        else:
            from director.live import outcome_table

            Console().print(outcome_table(found))
    raise typer.Exit(OK if all(outcome.status is Status.OK for outcome in found) else SOME_NOT_OK)


def report(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write a run's report: one HTML file, report.html in the run folder."""
    with endings(as_json):
        from director.report import report_run

        path = report_run(run)
        emit({"report": str(path)} if as_json else str(path))


def _history(folder: RunFolder) -> History:
    try:
        return read_history(folder)
    except sqlite3.Error as error:
        hint = "If its Director is writing, try again; if the file is damaged, restore it from a copy"
        raise Refused([Problem("run", f"a ledger of {folder.path} cannot be read ({error})", hint)]) from None

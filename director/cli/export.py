"""The command that gives a run's results to other programs: as a database of ASE, as a table."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.console import OK, SOME_NOT_OK, JsonOption, emit, endings, err_console
from director.cli.look import fetched_outcomes, history_of
from director.cli.target import ExchangeOption, RunArgument, SecretOption, Target, find_target
from director.door import Problem, Refused
from simulations.records import Outcome, Status

if TYPE_CHECKING:
    from director.ase_database import Structured, Unreadable


def export(
    run: RunArgument,
    ase_db: Annotated[
        Path | None,
        typer.Option(help="Database of ASE (.db): a row for each ok Outcome with a structure. What is there stays."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Table of all Outcomes, with their inputs and results. What is there goes.")
    ] = None,
    artifacts: Annotated[
        Path, typer.Option(help="Folder for structures of a run that is elsewhere; what is in it is not fetched again.")
    ] = Path("artifacts"),
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's results into a database that `ase db` reads, or into a CSV table."""
    document: dict[str, Any] = {}
    with endings(as_json, interrupted="interrupted; what was written stays, and the same command writes the rest"):
        if ase_db is None and csv is None:
            raise Refused(
                [Problem("export", "it was not said what to write", "Give --ase-db FILE, --csv FILE or both")]
            )
        if ase_db is not None:
            from director.ase_database import check_database

            check_database(ase_db)
        if csv is not None and not csv.parent.is_dir():
            raise Refused([Problem("--csv", f"there is no folder {csv.parent}", "Make it, or name another one")])
        target = find_target(run, exchange, exchange_secret)
        if target.folder is None:
            outcomes = asyncio.run(fetched_outcomes(target))
        else:
            outcomes = history_of(target.folder).outcomes
        if ase_db is not None:
            document["ase_db"] = to_database(target, outcomes, ase_db, artifacts)
        if csv is not None:
            from director.csv_table import write_csv

            rows, columns = write_csv(csv, outcomes)
            document["csv"] = {"path": str(csv), "rows": rows, "columns": columns}
        if as_json:
            emit(document)
        else:
            _tell(document)
    unreadable = document.get("ase_db", {}).get("unreadable")
    raise typer.Exit(SOME_NOT_OK if unreadable else OK)


def to_database(target: Target, outcomes: list[Outcome], path: Path, artifacts: Path) -> dict[str, Any]:
    """Adds a row for each ok Outcome with a structure.

    Args:
        target: The run.
        outcomes: Its Outcomes.
        path: The database.
        artifacts: Where structures are put that have to be fetched.

    Returns:
        What became of them, as ``--json`` prints it.

    Raises:
        RuntimeError: If the database cannot be written.
    """
    from director.ase_database import exported, write_rows
    from director.structure_files import structure_artifact

    names = {outcome.id: structure_artifact(outcome.artifacts) for outcome in outcomes if outcome.status is Status.OK}
    wanted = [outcome for outcome in outcomes if names.get(outcome.id)]
    there = exported(path, wanted)
    new = [(outcome, str(names[outcome.id])) for outcome in wanted if outcome.id not in there]
    if target.folder is None:
        found, unreadable = asyncio.run(_fetched(target, new, artifacts))
    else:
        found, unreadable = _found(target.folder.path, new)
    written = write_rows(path, found)
    return {
        "path": str(path),
        "written": written.written,
        "there": len(there) + written.there,
        "without_structure": len(names) - len(wanted),
        "unreadable": [asdict(item) for item in (*unreadable, *written.unreadable)],
    }


def _found(folder: Path, new: list[tuple[Outcome, str]]) -> tuple[list[Structured], list[Unreadable]]:
    """Files of a run folder on this machine."""
    from director.ase_database import Structured, Unreadable
    from director.structure_files import StructureError, confined

    found, unreadable = [], []
    for outcome, name in new:
        try:
            found.append(Structured(outcome, name, confined(folder, outcome.artifacts[name])))
        except StructureError as error:
            unreadable.append(Unreadable(outcome.id, name, str(error)))
    return found, unreadable


async def _fetched(
    target: Target, new: list[tuple[Outcome, str]], artifacts: Path
) -> tuple[list[Structured], list[Unreadable]]:
    """Files of a run that is elsewhere: those that are not here yet are fetched."""
    from director.ase_database import Structured, Unreadable
    from director.call import DirectorLost
    from director.exchange import ExchangeError

    items = [Structured(one, name, artifacts / one.id / Path(one.artifacts[name]).name) for one, name in new]
    reasons: dict[str, str] = {}
    missing = [item for item in items if not item.file.exists()]
    try:
        if missing:
            async with await target.fleet() as fleet:
                for item in missing:
                    try:
                        await fleet.fetch(item.outcome.artifacts[item.artifact], item.file)
                    except Refused as refusal:
                        reasons[item.outcome.id] = str(refusal)
    except (DirectorLost, ExchangeError, Refused) as error:
        reasons = {item.outcome.id: f"not fetched: {error}" for item in missing if not item.file.exists()} | reasons
    found = [item for item in items if item.outcome.id not in reasons]
    return found, [
        Unreadable(item.outcome.id, item.artifact, reasons[item.outcome.id])
        for item in items
        if item.outcome.id in reasons
    ]


def _tell(document: dict[str, Any]) -> None:
    if "ase_db" in document:
        said = document["ase_db"]
        rows = f"{said['written']} row{'' if said['written'] == 1 else 's'} written, {said['there']} there already"
        emit(f"{said['path']}: {rows}; {said['without_structure']} ok without a structure")
        for item in said["unreadable"]:
            line = f"{item['id']}: {item['artifact']} was not exported: {item['reason']}"
            err_console().print(line, soft_wrap=True, markup=False)
    if "csv" in document:
        said = document["csv"]
        emit(f"{said['path']}: {said['rows']} rows, {said['columns']} columns")

"""``director ledger``: whether a ledger is sound, what can be saved of one that is not, and what happened in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from director.cli.console import OK, SOME_NOT_OK, JsonOption, emit, endings
from director.door import Problem, Refused
from director.ledger import Event, LedgerError, read_events
from director.ledger.checking import Examined, examine
from director.ledger.repairing import repair
from director.ledger.salvage import Losses
from director.report.values import clean

app = typer.Typer(no_args_is_help=True, help="Look into the ledgers of a run: are they sound, and what happened?")

PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="A ledger's file, or a run folder: all its ledgers.")
]
MOST_SHOWN = 20
# Columns of their own, or for machines.
NOT_SHOWN = {"epoch", "started_at", "ended_at", "began"}


@app.command()
def check(
    path: PathArgument,
    repair_to: Annotated[
        Path | None,
        typer.Option("--repair", metavar="TARGET", help="Write a new ledger there, with all that can be read."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether ledgers are sound. Exit code: 0 they are, 1 one is damaged, 2 they cannot be looked at."""
    with endings(as_json):
        files = _ledgers(path)
        if repair_to is not None and len(files) > 1:
            hint = f"Name one of them: {', '.join(str(file) for file in files)}"
            raise Refused([Problem("PATH", f"{path} has {len(files)} ledgers, and one TARGET holds one", hint)])
        found = [_examined(file) for file in files]
        losses = None if repair_to is None else _repaired(files[0], repair_to)
        for item in found:
            if as_json:
                emit(_document(item, repair_to))
            else:
                _show(item)
        if losses is not None and not as_json:
            Console().print(Text(f"{repair_to} was written; {_lost(losses)}"), soft_wrap=True)
    raise typer.Exit(OK if all(item.good for item in found) else SOME_NOT_OK)


@app.command()
def events(
    path: PathArgument,
    only: Annotated[str | None, typer.Option("--id", help="Only those of this Request.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what happened, and when: each transition of each Request. With --json one line each."""
    with endings(as_json):
        for file in _ledgers(path):
            wanted = (event for event in _events(file) if only in (None, event.id))
            if as_json:
                for event in wanted:
                    emit({"ledger": str(file), **_event(event)})
            else:
                Console().print(_table(file, wanted))


def _ledgers(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.glob("director-*/ledger.sqlite"), key=lambda file: (len(file.parent.name), file))
    if not found:
        hint = "Give a ledger's file (ledger.sqlite), or the folder that was named with --run-dir"
        raise Refused([Problem("PATH", f"there is no ledger at {path}", hint)])
    return found


def _examined(file: Path) -> Examined:
    try:
        return examine(file)
    except (LedgerError, OSError) as error:
        raise Refused([Problem("PATH", str(error), "See to that, then look again")]) from None


def _repaired(file: Path, target: Path) -> Losses:
    try:
        return repair(file, target, datetime.now(UTC))
    except LedgerError as error:
        raise Refused([Problem("--repair", str(error), f"{file} was not touched")]) from None


def _events(file: Path) -> Iterator[Event]:
    try:
        yield from read_events(file)
    except LedgerError as error:
        raise Refused([Problem("PATH", str(error), f"Look what can be read: director ledger check {file}")]) from None


def _document(item: Examined, target: Path | None) -> dict[str, Any]:
    document = asdict(item) | {"path": str(item.path), "good": item.good}
    return document | {"repaired": str(target)} if target else document


def _show(item: Examined) -> None:
    console = Console(highlight=False)
    sums = f"{item.accepted} Requests, {item.finished} Outcomes, {item.events} events"
    if item.good:
        console.print(Text.assemble((str(item.path), "bold"), ": ", ("sound", "green"), f"; {sums}"), soft_wrap=True)
        return
    console.print(Text.assemble((str(item.path), "bold"), ": ", ("damaged", "bold red")), soft_wrap=True)
    for problem in item.problems[:MOST_SHOWN]:
        console.print(Text(f"  {problem}"), soft_wrap=True)
    if len(item.problems) > MOST_SHOWN:
        console.print(Text(f"  … and {len(item.problems) - MOST_SHOWN} more; --json tells all"))
    if item.losses is None:
        console.print(Text("  → nothing of it can be read; restore it from a copy", style="cyan"), soft_wrap=True)
        return
    console.print(Text(f"  can be read: {sums}; {_lost(item.losses)}"), soft_wrap=True)
    command = f"director ledger check {item.path} --repair NEW_FILE"
    console.print(Text(f"  → write that to a new ledger: {command}", style="cyan"), soft_wrap=True)


def _lost(losses: Losses) -> str:
    told = [
        (losses.requests, "Requests are lost"),
        (losses.remade, "Requests were made again from their Outcomes"),
        (losses.outcomes, "Outcomes are lost"),
        (losses.reopened, "Requests that had ended are open again"),
        (losses.events, "events are lost"),
        (losses.pages, "pages are missing at the end of the file"),
    ]
    return "; ".join(f"at least {count} {what}" for count, what in told if count) or "nothing is known to be lost"


def _event(event: Event) -> dict[str, Any]:
    return asdict(event) | {"at": event.at.isoformat(), "data": dict(event.data)}


def _table(file: Path, found: Iterator[Event]) -> Table:
    time, kind, name = (Column(head, no_wrap=True) for head in ("time (UTC)", "event", "Request"))
    more = Column("more", overflow="fold")
    table = Table("no.", time, "life", kind, name, "epoch", more, title=str(file), title_justify="left")
    for event in found:
        told = ", ".join(
            f"{name}={_short(value)}"
            for name, value in event.data.items()
            if value not in (None, False) and not isinstance(value, dict) and name not in NOT_SHOWN
        )
        at = event.at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
        epoch = "" if event.epoch is None else str(event.epoch)
        cells = (str(event.seq), at, str(event.life), event.kind, event.id or "", epoch, told)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    return table


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""Commands that steer a run that is open: watch, cancel, prioritize, pause, unpause, drain, close, fetch."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from director.cli.console import OK, SOME_NOT_OK, JsonOption, emit, endings, err_console, resume_command
from director.cli.target import ExchangeOption, RunArgument, SecretOption, Target, find_target
from director.door import Problem, Refused
from simulations.records import Outcome, Status

if TYPE_CHECKING:
    from director.fleet import Fleet

RETRY_S = 3.0
UNSENT = "unsent"

IdsArgument = Annotated[list[str], typer.Argument(help="Ids of the Requests, or how they begin; or the word all.")]
Act = Callable[["Fleet", list[str]], Awaitable[dict[str, str]]]
"""Does something to Requests; says for each id what became of it."""


def watch(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    give_up_s: Annotated[
        float, typer.Option(min=0, help="How long to go on asking when no Director answers, in s.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print each Outcome as a line of JSON.")] = False,
) -> None:
    """Show an open run until all of it is done. Stopping to watch changes nothing for the run."""
    with endings(as_json):
        target = find_target(run, exchange, exchange_secret)
        again = f"director resume {run}" if target.folder is None else resume_command(run)
        hint = f"What was done: director outcomes {run}. To launch its Directors again: {again}"
        found = asyncio.run(_watch(target, give_up_s, as_json, hint))
    raise typer.Exit(OK if all(outcome.status is Status.OK for outcome in found) else SOME_NOT_OK)


async def _watch(target: Target, give_up_s: float, as_json: bool, hint: str) -> list[Outcome]:
    """Follows a run, and again after each time that its Directors were lost; returns its Outcomes."""
    from director.call import DirectorLost
    from director.exchange import ExchangeError
    from director.live import outcome_table
    from director.watching import watch as shown

    seen: dict[str, Outcome] = {}
    console = Console(stderr=True, force_terminal=False) if as_json and sys.stdout.isatty() else None
    lost_at: float | None = None
    while True:
        before = len(seen)
        try:
            async with await target.fleet() as fleet:
                async for outcome in shown(fleet, fleet.outcomes(follow=True), console=console):
                    if outcome.id not in seen:
                        seen[outcome.id] = outcome
                        if as_json:
                            emit(outcome.model_dump_json())
            if (missing := _missing(target, len(seen))) > 0:
                raise DirectorLost(f"{missing} requests have no Outcome yet, and a Director that has some is gone")
            break
        except (DirectorLost, ExchangeError) as error:
            if lost_at is None or len(seen) > before:
                lost_at = time.monotonic()
                err_console().print(await _told(target, str(error)), soft_wrap=True, markup=False)
            if time.monotonic() - lost_at > give_up_s:
                raise DirectorLost(f"{error}. {hint}") from error
            await asyncio.sleep(RETRY_S)
    if not as_json:
        err_console().print(outcome_table(list(seen.values())))
    return list(seen.values())


def _missing(target: Target, seen: int) -> int:
    """How many of the Requests that a run began with have not been seen done, as far as that is known here."""
    return target.run.requests - seen if target.run else 0


async def _told(target: Target, error: str) -> str:
    """What has happened, as far as anybody knows."""
    if target.run is None:
        return f"{error}; asking again"
    from director.situation import service_of

    return f"{error}; {(await service_of(target.run))['summary']}; asking again"


def cancel(
    run: RunArgument,
    ids: IdsArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel Requests of an open run. Those that run stop within a few seconds."""
    _steer(run, ids, exchange, exchange_secret, as_json, lambda fleet, names: fleet.cancel(names))


def prioritize(
    run: RunArgument,
    ids: IdsArgument,
    priority: Annotated[
        int, typer.Option(min=-1000, max=1000, help="Of two that wait, the one with the higher priority starts first.")
    ],
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let Requests of an open run start before or after others. What runs already is left alone."""
    _steer(run, ids, exchange, exchange_secret, as_json, lambda fleet, names: fleet.prioritize(names, priority))


def _steer(
    run: str, words: list[str], exchange: str | None, secret_file: Path | None, as_json: bool, act: Act
) -> NoReturn:
    """Does something to the Requests that a user means, and says what became of each."""
    with endings(as_json):
        answers = asyncio.run(_answers(find_target(run, exchange, secret_file), words, act))
        if as_json:
            emit(answers)
        else:
            for name, what in answers.items():
                typer.echo(f"{name} {what}")
        unsent = sum(what == UNSENT for what in answers.values())
        if unsent:
            hint = "Do this again later; or end the run: director close"
            text = (
                f"{unsent} requests are left as they are: the run's client has not handed them over yet. {hint} {run}"
            )
            err_console().print(text, soft_wrap=True, markup=False)
    raise typer.Exit(SOME_NOT_OK if {"unknown", UNSENT} & set(answers.values()) else OK)


async def _answers(target: Target, words: list[str], act: Act) -> dict[str, str]:
    """What Directors say of the Requests that a user means by words: ids, how they begin, or all that are open."""
    async with await target.fleet() as fleet:
        there = await fleet.open_ids()
        waiting = await asyncio.to_thread(_unsent, target)
        known = [*there, *(name for name in waiting if name not in set(there))]
        # A word that begins no id may be that of one that has ended, or nobody's: the Directors say which.
        meant = known if words == ["all"] else [name for word in words for name in _begun(known, word) or [word]]
        answers = await act(fleet, list(dict.fromkeys(meant)))
    return {name: UNSENT if what == "unknown" and name in waiting else what for name, what in answers.items()}


def _begun(names: list[str], word: str) -> list[str]:
    return [word] if word in names else [name for name in names if name.startswith(word)]


def _unsent(target: Target) -> set[str]:
    """Ids of the Requests that a run's client has written down, and no Director has, as far as that is known here."""
    from director.left import unsent

    return {request.id for request in unsent(target.folder)} if target.folder is not None else set()


def pause(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an open run start nothing more; what runs saves what it has done and stops. `director unpause` goes on."""
    with endings(as_json):
        left = asyncio.run(_pause(find_target(run, exchange, exchange_secret)))
        text = f"nothing more is started; {left} requests that run stop as soon as they can"
        emit({"running": left} if as_json else text)


async def _pause(target: Target) -> int:
    async with await target.fleet() as fleet:
        return await fleet.pause()


def unpause(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a run that was paused go on."""
    with endings(as_json):
        left = asyncio.run(_unpause(find_target(run, exchange, exchange_secret)))
        emit({"open": left} if as_json else f"the run goes on; {left} requests are open")


async def _unpause(target: Target) -> int:
    async with await target.fleet() as fleet:
        return await fleet.unpause()


def drain(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an open run accept nothing more. Its Directors end when all is done and fetched."""
    with endings(as_json):
        left = asyncio.run(_drain(find_target(run, exchange, exchange_secret)))
        emit({"open": left} if as_json else f"{left} requests are left to run; nothing more is accepted")


async def _drain(target: Target) -> int:
    async with await target.fleet() as fleet:
        return await fleet.drain()


def close(
    run: RunArgument,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an open run's Directors now. What is open stays in their ledgers.

    A run that was submitted goes on with `director resume`, one in a run folder with `director run --resume`.
    """
    with endings(as_json):
        ended = asyncio.run(_close(find_target(run, exchange, exchange_secret)))
        emit({"closed": ended} if as_json else f"{ended} Directors end within a few seconds")


async def _close(target: Target) -> int:
    async with await target.fleet() as fleet:
        return await fleet.end()


def fetch(
    run: RunArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of the Requests, or how they begin; all if none.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Only these artifacts: trajectory, final_structure … May be repeated.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("artifacts"),
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch artifacts of an open run to this machine; what is here already is not fetched again."""
    with endings(as_json):
        target = find_target(run, exchange, exchange_secret)
        files = asyncio.run(_fetch(target, ids or [], set(name or ()), to))
        if not files:
            what = "no artifact" + (f" named {', '.join(name)}" if name else "")
            raise Refused(
                [Problem("RUN", f"there is {what} of these requests", f"See: director outcomes {run} --json")]
            )
        for item in files:
            emit(item if as_json else item["path"])


async def _fetch(target: Target, ids: list[str], names: set[str], to: Path) -> list[dict[str, Any]]:
    found = []
    async with await target.fleet() as fleet:
        async for outcome in fleet.outcomes():
            if ids and not outcome.id.startswith(tuple(ids)):
                continue
            for name, path in outcome.artifacts.items():
                if names and name not in names:
                    continue
                file = to / outcome.id / Path(path).name
                size = file.stat().st_size if file.exists() else await fleet.fetch(path, file)
                found.append({"id": outcome.id, "name": name, "path": str(file), "bytes": size})
    return found

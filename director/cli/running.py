"""A run of ``director run``, from its launching to its summary."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from director.cli.console import INTERRUPTED, OK, RUN_FAILED, SOME_NOT_OK, emit, err_console, resume_command
from director.winding import Leftover, WindingDown, leftover, reasons_of
from simulations.records import Outcome, Status

if TYPE_CHECKING:
    from director.fleet import Fleet
    from director.launching import Launching
    from director.left import Left


@dataclass
class End:
    """How a run came to its end.

    Attributes:
        folder: The run folder, as the user named it.
        total: How many Requests there are.
        before: How many of them had an Outcome before.
        ok_before: Whether all of these were ``ok``.
        began: Whether Directors were launched, and not ended at once.
        outcomes: The Outcomes that have completed now.
        leftover: What was left undone.
        signal: What told the command to end.
        lost_service: Why the run has failed, if a service that it needs is lost.
    """

    folder: Path
    total: int = 0
    before: int = 0
    ok_before: bool = True
    began: bool = True
    outcomes: list[Outcome] = field(default_factory=list)
    leftover: Leftover | None = None
    signal: signal.Signals | None = None
    lost_service: str | None = None

    def resumes(self, left: Left) -> None:
        """Takes in what there is of a run that goes on."""
        self.before, self.ok_before = left.ended.total(), left.all_ok
        self.total = self.before + left.count

    @property
    def complete(self) -> bool:
        """Whether every Request has its Outcome."""
        return self.before + len(self.outcomes) == self.total

    @property
    def code(self) -> int:
        """The exit code."""
        if not self.complete and self.signal is signal.SIGINT:
            return INTERRUPTED
        if self.lost_service is not None:
            return RUN_FAILED
        ok = self.ok_before and all(outcome.status is Status.OK for outcome in self.outcomes)
        return OK if ok and self.complete else SOME_NOT_OK


async def through(
    launching: Launching,
    stream_of: Callable[[Fleet], AsyncIterator[Outcome]],
    end: End,
    *,
    as_json: bool,
    reserve_s: float | None,
) -> End:
    """Launches a Fleet and shows its Outcomes, until all are there or it is wound down, and says what is left.

    Args:
        launching: What launches it.
        stream_of: Where its Outcomes come from; called when it is up.
        end: How the run comes to its end, as far as that is known already. It is completed here.
        as_json: Whether Outcomes are written to standard output.
        reserve_s: What the user keeps in reserve to save what runs, in s; None: what is usual.

    Raises:
        Refused: If it cannot be launched, or Requests are not acceptable.
        LaunchError: If a Director did not come up.
        DirectorLost: If one is gone in a way that was not orderly.
    """
    from director.call import WoundDown
    from director.watching import watch

    # Where Outcomes go to the same terminal, a view that is redrawn in place would be torn apart.
    torn = as_json and sys.stdout.isatty()
    view = Console(stderr=True, force_terminal=False) if torn else None
    reasons: tuple[str, ...] = ()
    with WindingDown(reserve_s, say) as winding:
        try:
            async with _announced(launching, end.folder) as fleet:
                winding.of(fleet)
                try:
                    stream = stream_of(fleet)
                    async for outcome in watch(fleet, stream, total=end.total, console=view):
                        end.outcomes.append(outcome)
                        if as_json:
                            emit(outcome.model_dump_json())
                except WoundDown as error:
                    reasons = reasons_of(fleet.summaries, str(error))
                end.lost_service = fleet.lost_service
            if reasons:  # by now, all Directors have ended, and said what is left
                done = end.before + len(end.outcomes)
                end.leftover = leftover(reasons, fleet.summaries, total=end.total, done=done)
        except asyncio.CancelledError:
            if winding.signal is None:
                raise
            end.began = False
        end.signal = winding.signal
    tell(end, as_json)
    return end


@contextlib.asynccontextmanager
async def _announced(launching: Launching, folder: Path) -> AsyncIterator[Fleet]:
    """Launches a Fleet, and says how its services come up meanwhile: that of a large model takes many minutes."""
    from director.service_partition.saying import tell_services

    telling = asyncio.create_task(tell_services(folder, say), name="telling")
    try:
        async with launching as fleet:
            telling.cancel()
            yield fleet
    finally:
        telling.cancel()


def tell(end: End, as_json: bool) -> None:
    """Says what came of a run, and what is left of it."""
    from director.live import outcome_table

    command = resume_command(end.folder)
    if end.outcomes and not as_json:
        err_console().print(outcome_table(end.outcomes))
    if end.lost_service is not None:
        failed = {"failed": {"type": "ServiceUnavailable", "message": end.lost_service}}
        say(json.dumps(failed) if as_json else f"failed: {end.lost_service}")
    if end.signal is not None and not end.began:
        how = {"at_once": end.signal.name, "next": command}
        text = f"ended at once ({end.signal.name}); what ran goes on from its last checkpoint"
    elif end.leftover is not None:
        how, text = {**asdict(end.leftover), "next": command}, str(end.leftover)
    else:
        return
    if as_json:
        typer.echo(json.dumps({"ended": how}), err=True)
    else:
        say(text)
        say(f"  → {command}")


def say(text: str) -> None:
    """Says something to people."""
    err_console().print(text, soft_wrap=True, markup=False)

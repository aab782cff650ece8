"""Ending a run in an orderly way when its client is told to end, by a scheduler or at a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from director.totals import add_up

if TYPE_CHECKING:
    from director.fleet import Fleet

# PBS kills 10 s after it has asked: 5 s to save what runs, and 4 s to end.
SOON_S = 5.0
CLOSING_S = 4.0
RESERVE_S = 60.0
# A person takes longer to press Ctrl-C again.
TOGETHER_S = 0.3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def time_for(number: signal.Signals, reserve_s: float | None) -> float:
    """How long Directors may take to save what runs, in s. Pure.

    Args:
        number: The signal: SIGUSR1 is a scheduler's early word, the others are soon followed by SIGKILL.
        reserve_s: What the user keeps in reserve for that, in s.
    """
    return max(1.0, (reserve_s or RESERVE_S) - CLOSING_S) if number is signal.SIGUSR1 else SOON_S


class WindingDown:
    """While this is entered, signals that ask this process to end wind its Fleet down first; a second one ends it.

    Two that come together are one: whoever sends a signal to a process and to its group means it once. SIGUSR1 is no
    more than an early word, so the first SIGTERM or Ctrl-C after it only leaves less time, and when this has been left
    it is ignored.

    Args:
        reserve_s: What the user keeps in reserve, in s.
        say: Told what happens.

    Attributes:
        signal: The signal that came, if one did; the latest of those that counted.
    """

    def __init__(self, reserve_s: float | None, say: Callable[[str], None]) -> None:
        self.signal: signal.Signals | None = None
        self._at_s = 0.0
        self._reserve_s = reserve_s
        self._say = say
        self._fleet: Fleet | None = None
        self._task: asyncio.Task[None] | None = None
        self._main: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        self._main = asyncio.current_task()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._told, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        # What is wound down by itself may be warned a moment later: that is no reason to end by the signal.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if self._task is not None:
            self._task.cancel()

    def of(self, fleet: Fleet) -> None:
        """Says which Fleet it is, as soon as its Directors answer. Until then, any signal ends everything."""
        self._fleet = fleet

    def _told(self, number: signal.Signals) -> None:
        now_s = asyncio.get_running_loop().time()
        before, since_s = self.signal, now_s - self._at_s
        if before is not None and (number is signal.SIGUSR1 or (before is number and since_s < TOGETHER_S)):
            return
        self.signal, self._at_s = number, now_s
        if self._fleet is None or before not in (None, signal.SIGUSR1):
            assert self._main is not None  # noqa: S101  (the handlers are set after it)
            self._main.cancel()
            return
        if self._task is not None:
            self._task.cancel()
        within_s = time_for(number, self._reserve_s)
        self._say(f"{number.name}: what runs has {within_s:g} s to save what it has done; once more to end at once")
        self._task = asyncio.get_running_loop().create_task(self._wind(self._fleet, number, within_s), name="wind-down")

    async def _wind(self, fleet: Fleet, number: signal.Signals, within_s: float) -> None:
        from director.call import DirectorLost

        # One that has ended already, or does not answer, ends with its lifeline at the latest.
        with contextlib.suppress(DirectorLost, TimeoutError):
            async with asyncio.timeout(within_s):
                await fleet.wind_down(f"signal {number.name} to its client", within_s)
        await asyncio.wait([link.lost for link in fleet.links], timeout=within_s + CLOSING_S)
        for link in fleet.links:
            link.mark_lost(f"Director {link.index} did not end within {within_s:g} s", summary={})


@dataclass(frozen=True)
class Leftover:
    """What a run that has ended leaves undone.

    Attributes:
        reasons: Why it ended.
        done: How many Requests have an Outcome.
        paused: How many were begun, and go on from their checkpoints.
        queued: How many have not been begun, or are to begin anew.
        node_hours: What all lives of the Directors have used, in h of whole nodes; None: not known.
        wasted_node_hours: What of it went into nothing that lasts; see `director.totals.Totals`.
    """

    reasons: tuple[str, ...]
    done: int
    paused: int
    queued: int
    node_hours: float | None = None
    wasted_node_hours: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.done:,} done", f"{self.paused:,} paused", f"{self.queued:,} queued"]
        if self.node_hours is not None:
            parts.append(f"{self.node_hours:.2g} node-hours used")
        if self.wasted_node_hours is not None:
            parts.append(f"{self.wasted_node_hours:.2g} of them wasted")
        return f"ended ({', '.join(self.reasons)}): {', '.join(parts)}"


def reasons_of(summaries: Sequence[Mapping[str, Any]], otherwise: str) -> tuple[str, ...]:
    """Why Directors have ended, by what they said. Pure.

    Args:
        summaries: What those said that have ended in an orderly way.
        otherwise: Why the run ends, if no Director said so.
    """
    return tuple(dict.fromkeys(str(one["reason"]) for one in summaries if one.get("reason"))) or (otherwise,)


def leftover(reasons: tuple[str, ...], summaries: Sequence[Mapping[str, Any]], *, total: int, done: int) -> Leftover:
    """What a run leaves undone, by what its Directors said at their end. Pure.

    Args:
        reasons: Why it ended.
        summaries: What those said that ended in an orderly way.
        total: How many Requests the run has.
        done: How many of them have an Outcome.
    """
    paused = min(sum(int(summary.get("paused") or 0) for summary in summaries), total - done)
    left = Leftover(reasons, done, paused, total - done - paused)
    totals = add_up(summary.get("accounting") for summary in summaries)
    if totals is None:
        return left
    return replace(left, node_hours=totals.node_hours, wasted_node_hours=totals.wasted_node_hours)

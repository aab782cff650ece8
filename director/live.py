"""What a run does now, and what came of it, on a terminal.

Everything goes to stderr: stdout belongs to the Outcomes, which scripts read. Text of users and programs is
cleaned of control characters before it is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from director.report.terminal import outcome_table, speed
from director.report.values import MISSING, clean, compress_hosts
from director.view import FleetView, PartitionState, PartitionView, total_view

__all__ = [
    "FleetView",
    "LiveView",
    "PartitionState",
    "PartitionView",
    "compress_hosts",
    "outcome_table",
    "percent",
    "plain_line",
    "render",
]

MAX_LINES = 16
PLAIN_PERIOD_S = 5.0
LEAST_LOST_S = 0.5
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
STATE_STYLE: dict[PartitionState, str] = {
    "starting": "yellow",
    "up": "green",
    "draining": "cyan",
    "paused": "magenta",
    "ending": "cyan",
    "lost": "bold red",
    "closed": "dim",
}


def short_duration(seconds: float | None) -> str:
    """A duration in at most six characters: ``45s``, ``12m05s``, ``3h20m``, ``12d04h``."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 100 * 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def render(status: FleetView, now_s: float) -> RenderableType:
    """The run on one screen: a line for each Partition, then the totals, then what else to know. Fits 80 columns.

    How busy the workers were stands there once that is known.

    Args:
        status: What to show.
        now_s: The time in s, of any monotonic clock; moves the spinner that says the view is alive.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="dim")
    table.add_column("", no_wrap=True, min_width=3)
    table.add_column("nodes", no_wrap=True, ratio=1, min_width=8)
    table.add_column("workers", no_wrap=True, justify="right", min_width=7)
    table.add_column("progress", no_wrap=True, ratio=1, min_width=8)
    everything = total_view(status)
    # How busy they were is known of all Partitions or of none, but for those that do not answer.
    busy = everything.utilization is not None
    columns = {"run": 4, "queue": 6, "done": 6, "fail": 5, **({"util": 4} if busy else {}), "ns/day": 6, "ETA": 6}
    for name, width in columns.items():
        table.add_column(name, no_wrap=True, justify="right", min_width=width)
    for part in status.partitions[:MAX_LINES]:
        table.add_row(Text(f"D{part.index}"), Text(clean(compress_hosts(part.hosts))), *_cells(part, busy))
    hidden = len(status.partitions) - MAX_LINES
    if hidden > 0:
        table.add_row("", Text(f"… {hidden:,} more", style="dim"))
    spinner = SPINNER[int(now_s * 8) % len(SPINNER)] if _is_busy(status) else "✓"
    elapsed = Text(f"{spinner} all, {short_duration(status.elapsed_s)}")
    table.add_row("", elapsed, *_cells(everything, busy, status.total), style="bold")
    notes = remarks(status)
    if notes:
        table.caption = Text("; ".join(notes), style="dim")
        table.caption_justify = "left"
    return table


def remarks(status: FleetView) -> list[str]:
    """What else to know of a run: work lost, the end of its job, and why Requests wait that could have a worker."""
    every = total_view(status)
    found = [f"{every.cancelled:,} cancelled"] if every.cancelled else []
    if every.lost_s >= LEAST_LOST_S:
        found.append(f"{short_duration(every.lost_s)} of work lost")
    if status.left_s is not None and _is_busy(status):
        ends = f"in {short_duration(status.left_s)}" if status.left_s > 0 else "now"
        found.append(f"the job ends: what runs is asked to save and stop {ends}")
    return found + [f"{count:,} wait: {clean(reason, 60)}" for reason, count in status.waiting.items()]


def _is_busy(status: FleetView) -> bool:
    return total_view(status).done < status.total


def _cells(part: PartitionView, busy: bool, total: int | None = None) -> list[RenderableType]:
    """Workers, progress and counts of a line; a state other than up stands where the bar would."""
    known = part.queued + part.running + part.done
    progress: RenderableType = ProgressBar(
        total=max(1, total or known),
        completed=part.done,
        complete_style="green" if not part.failed else "yellow",
        finished_style="green" if not part.failed else "yellow",
    )
    if part.state != "up":
        progress = Text(part.state, style=STATE_STYLE[part.state])
    missing = part.workers_up < part.workers and part.state == "up"
    return [
        Text(f"{part.workers_up}/{part.workers}", style="yellow" if missing else ""),
        progress,
        Text(f"{part.running:,}"),
        Text(f"{part.queued:,}"),
        Text(f"{part.done:,}"),
        Text(f"{part.failed:,}", style="bold red" if part.failed else "dim"),
        *([Text(percent(part.utilization))] if busy else []),
        Text(speed(part.ns_per_day)),
        Text(short_duration(part.eta_s)),
    ]


def percent(fraction: float | None) -> str:
    """A fraction from 0 to 1 in at most four characters."""
    return MISSING if fraction is None else f"{100 * fraction:.0f}%"


def plain_line(status: FleetView) -> str:
    """The run on one line, for logs."""
    every = total_view(status)
    parts = [
        f"[{short_duration(status.elapsed_s)}] {every.done:,}/{status.total:,} done, {every.failed:,} failed",
        f"{every.running:,} running, {every.queued:,} queued",
        f"workers {every.workers_up:,}/{every.workers:,}",
    ]
    if every.ns_per_day is not None:
        parts.append(f"{speed(every.ns_per_day)} ns/day")
    if every.utilization is not None:
        parts.append(f"utilization {percent(every.utilization)}")
    if every.eta_s is not None:
        parts.append(f"ETA {short_duration(every.eta_s)}")
    parts += remarks(status)
    off = [f"Director {part.index} {part.state}" for part in status.partitions if part.state != "up"]
    parts += off[:4]
    if len(off) > 4:
        parts.append(f"{len(off) - 4:,} more Directors not up")
    return "; ".join(parts)


class LiveView:
    """Shows a run while it goes: redrawn in place on a terminal, else a line now and then.

    Where stderr is no terminal, a line is written at most every ``period_s``, only if a count or a state has
    changed, without control characters. Leaving the context writes the last state, if it was not yet written.

    Args:
        console: Where to write; stderr by default.
        clock: Seconds, monotonic.
        period_s: Least time between two plain lines, in s.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        period_s: float = PLAIN_PERIOD_S,
    ) -> None:
        # FORCE_COLOR, which CI sets, would make rich take a pipe for a terminal.
        force = None if sys.stderr.isatty() else False
        self._console = console or Console(stderr=True, force_terminal=force)
        self._clock = clock
        self._period_s = period_s
        self._live: Live | None = None
        self._latest: FleetView | None = None
        self._written: tuple[object, ...] | None = None
        self._written_at = float("-inf")

    def __enter__(self) -> Self:
        """Takes the terminal's lower lines, if there is a terminal."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # stdout is left alone: it carries Outcomes, and rich would send them to stderr.
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self._latest is not None and self._written != _state_of(self._latest):
            self._write(self._latest)

    def update(self, view: FleetView) -> None:
        """Shows a newer state."""
        self._latest = view
        if self._live is not None:
            self._live.update(render(view, self._clock()), refresh=True)
        elif self._clock() - self._written_at >= self._period_s and self._written != _state_of(view):
            self._write(view)

    def _write(self, view: FleetView) -> None:
        self._console.print(Text(plain_line(view)), soft_wrap=True)
        self._written, self._written_at = _state_of(view), self._clock()


def _state_of(view: FleetView) -> tuple[object, ...]:
    """What must differ for a line to be worth writing; times and speeds always do, and are left out."""
    counts = ((p.state, p.workers_up, p.queued, p.running, p.done, p.failed) for p in view.partitions)
    return (view.total, *counts)

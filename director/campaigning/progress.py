"""How far a campaign is, on standard error: a table that is redrawn on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from campaigns.episode import Progress

LINE_PERIOD_S = 5.0
LINE_LENGTH = 240


class ProgressView:
    """Shows the episodes of a campaign.

    Args:
        console: Where.
        budget: Evaluations of each episode; None: not bounded.
        episodes: How many episodes there are.
    """

    def __init__(self, console: Console, budget: int | None, episodes: int) -> None:
        self._console = console
        self._of = f"/{budget}" if budget is not None else ""
        self._episodes = episodes
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._shown: dict[str, Progress] = {}
        self._said_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self._table())
            self._live.__exit__(kind, error, trace)

    def tell(self, progress: Progress) -> None:
        """Takes in how far an episode is. May be called from any thread."""
        name = str(progress.key)
        self._shown[name] = progress
        if self._live is not None:
            self._live.update(self._table())
            return
        now_s = time.monotonic()
        due = name not in self._said_s or now_s - self._said_s[name] >= LINE_PERIOD_S
        if progress.ended is not None or due:
            self._said_s[name] = now_s
            self._console.print(self.line(progress), soft_wrap=True, markup=False)

    def line(self, progress: Progress) -> str:
        """One episode in one line."""
        best = "none yet" if progress.best is None else f"{progress.best:.6g}"
        parts = [
            f"{progress.key}: {progress.evaluated}{self._of} evaluated, {progress.in_flight} in flight",
            f"best {best}",
            f"{progress.successes} successes",
        ]
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        if progress.ended is not None:
            parts.append(f"ended: {_short(progress.ended.reason)}")
        elif progress.note:
            parts.append(_short(progress.note))
        return ", ".join(parts)

    def _table(self) -> Table:
        table = Table("episode", "evaluated", "in flight", "best score", "successes", "failed", "")
        ended = sum(one.ended is not None for one in self._shown.values())
        table.caption = f"{ended} of {self._episodes} episodes have ended"
        for name, one in list(self._shown.items())[-16:]:
            best = "" if one.best is None else f"{one.best:.6g}"
            what = _short(one.ended.reason if one.ended else one.note)
            row = (name, f"{one.evaluated}{self._of}", f"{one.in_flight}", best, f"{one.successes}", f"{one.failed}")
            table.add_row(*row, what)
        return table


def _short(text: str) -> str:
    """What fits into a line; the record has all of it."""
    return text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 1] + "…"

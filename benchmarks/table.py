"""What a benchmark returns, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured ratio.

    Attributes:
        what: What was measured.
        ours: Our figure, with its unit.
        reference: The figure of what it is compared with.
        ratio: The ratio that the bar is about; None where a figure is only shown.
        bar: The bar, such as ``≥ 0.9``.
        met: Whether it is met; None where there is no bar.
    """

    what: str
    ours: str
    reference: str
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None


def at_least(what: str, ours: str, reference: str, ratio: float, bar: float) -> Row:
    """A ratio that should be at least so much."""
    return Row(what, ours, reference, ratio, f"≥ {bar:g}", ratio >= bar)


def at_most(what: str, ours: str, reference: str, ratio: float, bar: float) -> Row:
    """A ratio that should be at most so much."""
    return Row(what, ours, reference, ratio, f"≤ {bar:g}", ratio <= bar)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and least to most."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(rows: Sequence[Row]) -> Table:
    """All rows as one table."""
    shown = Table(title="Medians of runs side by side (least to most)", title_justify="left", pad_edge=False)
    for name in ("what", "ours", "reference"):
        shown.add_column(name, overflow="fold")
    for name in ("ratio", "bar", "met"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        met = "" if row.met is None else "[green]yes[/]" if row.met else "[red]no[/]"
        shown.add_row(row.what, row.ours, row.reference, "" if row.ratio is None else f"{row.ratio:.2f}", row.bar, met)
    return shown

"""What figures of campaigns have in common: ink, letters, colours. As in the report of a run.

They are drawn through matplotlib's objects alone: pyplot and rcParams belong to the process, not to us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, SOFT, FAINT = "#1f2933", "#52606d", "#d9dee4"
FONT, SMALL = 9.5, 8.5
WIDTH_IN = 5.5
DPI = 150

STYLES = (
    ("#0072b2", "-", "o"),
    ("#d55e00", "-", "s"),
    ("#007a5a", "-", "^"),
    ("#b0568c", "-", "D"),
    ("#56a0d0", "--", "v"),
    ("#8a6a00", "--", "P"),
    ("#1f2933", "--", "X"),
)
"""Colours after Okabe and Ito, darkened where they would be faint on white, with a dash and a mark as second cues."""

Where = Literal["best", "upper left", "upper right", "lower right"]


def style_of(names: Sequence[str], name: str) -> tuple[str, str, str]:
    """Colour, dash and mark of one of several names; after the last they begin again."""
    return STYLES[list(names).index(name) % len(STYLES)]


def panels(count: int, height_in: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A figure of some panels beside each other, two in a row."""
    columns = min(count, 2)
    rows = -(-count // 2)
    figure = Figure(figsize=(WIDTH_IN * columns, height_in * rows), facecolor="white", layout="constrained")
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for one in axes:
        plain(one)
    return figure, axes


def plain(axes: Axes) -> None:
    """Takes away what carries no information."""
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=SMALL, length=0, pad=5)
    axes.grid(color=FAINT, linewidth=0.7)


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Labels in ink. What users named is shown as it stands: a dollar sign begins no formula."""
    axes.set_xlabel(x, fontsize=FONT, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=FONT, color=INK, parse_math=False)
    if title:
        axes.set_title(title, fontsize=FONT, color=INK, loc="left", pad=8, parse_math=False)


def whole_ticks(axes: Axes, which: str) -> None:
    """Ticks at whole numbers only."""
    for axis in (axes.xaxis if name == "x" else axes.yaxis for name in which):
        axis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def legend(axes: Axes, names: Iterable[str], where: Where = "best") -> None:
    """A legend without a frame; none if there is nothing to tell apart."""
    if len(list(names)) < 1:
        return
    made = axes.legend(loc=where, frameon=True, framealpha=0.85, edgecolor="none", fontsize=SMALL, labelcolor=INK)
    for text in made.get_texts():
        text.set_parse_math(False)


def legend_above(axes: Axes) -> None:
    """A legend in one line between the title and the figure."""
    made = axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        borderaxespad=0.0,
        ncols=6,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handlelength=1.3,
        columnspacing=1.2,
    )
    for text in made.get_texts():
        text.set_parse_math(False)

"""What the report's figures have in common: an SVG that stands inside a page, its margins, ink and letters.

They are drawn through matplotlib's objects alone: pyplot and rcParams belong to the process, not to us.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from director.report.values import clean

INK, SOFT, FAINT, BAND = "#1f2933", "#52606d", "#d9dee4", "#f3f5f8"
FONT, SMALL = 9.5, 8.5
WIDTH_IN, RIGHT_IN, TOP_IN, BOTTOM_IN = 11.4, 0.95, 0.36, 0.52
LEFT_IN, LETTER_IN = 0.8, 0.077
RASTER_DPI = 200


def left_margin_in(names: Iterable[str]) -> float:
    """Width in inches that names need beside a wide figure."""
    letters = max((len(label(name)) for name in names), default=0)
    return max(LEFT_IN, 0.25 + LETTER_IN * letters)


def wide_figure(height_in: float, left_in: float) -> tuple[Figure, Axes]:
    """A figure of the page's width. Its margins are given, so the time axes of two of them line up."""
    total = height_in + TOP_IN + BOTTOM_IN
    figure = Figure(figsize=(WIDTH_IN, total), facecolor="none")
    width = (WIDTH_IN - left_in - RIGHT_IN) / WIDTH_IN
    axes = figure.add_axes((left_in / WIDTH_IN, BOTTOM_IN / total, width, height_in / total))
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Takes away what carries no information."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=SMALL, length=0, pad=5)


def finish_x(axes: Axes) -> None:
    """Labels in ink, and ticks of x that can be read."""
    axes.xaxis.label.set(fontsize=FONT, color=INK)
    axes.yaxis.label.set(fontsize=FONT, color=INK)
    separate_thousands(axes, "x")


def separate_thousands(axes: Axes, which: str) -> None:
    """Ticks such as 12,500 and −0.25 with as many decimals as the step between them needs, and no offset."""
    for axis in (axes.xaxis if name == "x" else axes.yaxis for name in which):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        ticks = axis.get_majorticklocs()
        step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
        decimals = next((d for d in range(8) if abs(round(step, d) - step) < step * 1e-6), 8)
        axis.set_major_formatter(StrMethodFormatter(f"{{x:,.{decimals}f}}"))


def legend(axes: Axes, handles: Iterable[object]) -> None:
    """A legend in one line above the figure."""
    axes.legend(
        handles=list(handles),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.3,
        borderpad=0.2,
        ncols=8,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handlelength=1.6,
        columnspacing=1.6,
    )


def label(worker: str) -> str:
    """A worker's name as far as the margin holds it; the end, which tells workers apart, is kept."""
    text = clean(worker, 400).encode("ascii", "replace").decode()  # the built-in font knows no other script
    return text if len(text) <= 24 else f"{text[:8]}…{text[-15:]}"


def inline(figure: Figure, key: str, title: str, description: str) -> str:
    """The figure as an ``<svg>`` element with a title, a description and ids that are its own."""
    stream = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # The resolution is that of parts that are images; the rest has none.
    figure.savefig(stream, format="svg", dpi=RASTER_DPI, facecolor="none", metadata=metadata)
    svg = re.sub(r"<!--.*?-->\s*", "", stream.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{key}-", svg[svg.index("<svg") :])
    size = re.search(r'viewBox="[^"]*"', svg)
    names = f"<title id='{key}-title'>{escape(title)}</title><desc id='{key}-desc'>{escape(description)}</desc>"
    start = (
        f"<svg xmlns:xlink='http://www.w3.org/1999/xlink' xmlns='http://www.w3.org/2000/svg' role='img'"
        f" aria-labelledby='{key}-title {key}-desc' {size.group() if size else ''}>{names}"
    )
    return start + svg[svg.index(">") + 1 :].strip()

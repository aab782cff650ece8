"""The report's figures, as SVG that stands inside a page.

They are drawn through matplotlib's objects alone: pyplot and rcParams belong to the process, not to us.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from director.report.summary import Span, Utilization, bin_means, natural_key
from director.report.values import clean
from simulations.records import Status

INK, SOFT, FAINT, BAND = "#1f2933", "#52606d", "#d9dee4", "#f3f5f8"
FONT, SMALL = 9.5, 8.5
WIDTH_IN, RIGHT_IN, TOP_IN, BOTTOM_IN = 11.4, 0.95, 0.36, 0.52
LEFT_IN, LETTER_IN = 0.8, 0.077
ROW_IN, MAX_TIMELINE_IN, LABEL_IN = 0.25, 10.0, 0.12
MAX_VECTOR_BARS = 2_000
RASTER_DPI = 200
MAX_STEPS = 1_000
MAX_DIRECTOR_CURVES = 6

STATUS_STYLE: dict[Status, tuple[str, str, str]] = {
    Status.OK: ("#2b7fb8", "", ""),
    Status.FAILED: ("#d55e00", "////", "X"),
    Status.TIMEOUT: ("#be8400", "....", "D"),
    Status.CANCELLED: ("#8a94a0", "\\\\\\\\", "s"),
}
"""Colour (after Okabe and Ito, told apart by the colour-blind), hatch and marker of each status."""

LINE_STYLES = (
    ("#0072b2", "-"),
    ("#d55e00", "-"),
    ("#007a5a", "-"),
    ("#b0568c", "-"),
    ("#56a0d0", "--"),
    ("#8a6a00", "--"),
    ("#1f2933", "--"),
)
"""Colours after Okabe and Ito, darkened where they would be faint on white, with a dash for a second cue."""


@dataclass(frozen=True)
class Line:
    """One line of a panel: x and y, its colour and its dash."""

    x: Sequence[float]
    y: Sequence[float]
    color: str
    dash: str = "-"


def left_margin_in(spans: Iterable[Span]) -> float:
    """Width in inches that the names of the workers need beside the timeline."""
    letters = max((len(_label(worker)) for worker in {span.worker for span in spans}), default=0)
    return max(LEFT_IN, 0.25 + LETTER_IN * letters)


def timeline(spans: Sequence[Span], end_s: float, left_in: float) -> str:
    """SVG with one row per worker, grouped by Director, and a bar for each Outcome from start to finish."""
    rows = sorted({(s.director, s.worker) for s in spans}, key=lambda r: (r[0], natural_key(r[1])))
    row_in = min(ROW_IN, MAX_TIMELINE_IN / len(rows))
    figure, axes = _wide_figure(max(0.8, row_in * len(rows)), left_in)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, end_s or 1.0), xlabel="Time since the run began (s)")
    _finish_x(axes)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    place = {row: i for i, row in enumerate(rows)}
    _draw_bars(axes, spans, place, row_in)
    _mark_directors(axes, [director for director, _ in rows], row_in)
    if row_in >= LABEL_IN:
        axes.set_yticks(range(len(rows)), [_label(worker) for _, worker in rows], parse_math=False)
        axes.tick_params(axis="y", labelsize=min(SMALL, row_in * 72 * 0.8))
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(rows):,} workers", fontsize=FONT, color=INK)
    seen = {span.status for span in spans}
    handles = [
        Patch(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0, label=status.value)
        for status, (color, hatch, _) in STATUS_STYLE.items()
        if status in seen
    ]
    _legend(axes, handles)
    counts = ", ".join(f"{sum(s.status is x for s in spans):,} {x.value}" for x in Status if x in seen)
    text = f"{len(spans):,} bars on {len(rows):,} workers over {end_s:,.0f} s: {counts}."
    return _inline(figure, "timeline", "What each worker did when", text)


def _draw_bars(axes: Axes, spans: Sequence[Span], place: dict[tuple[int, str], int], row_in: float) -> None:
    """One collection a status, not one artist a bar; beyond a bound they become an image inside the SVG."""
    raster = len(spans) > MAX_VECTOR_BARS
    half = 0.5 if raster else 0.38 if row_in >= LABEL_IN else 0.46
    by_status: dict[Status, list[Span]] = defaultdict(list)
    for span in spans:
        by_status[span.status].append(span)
    for status, (color, hatch, marker) in STATUS_STYLE.items():
        group = by_status[status]
        rows = [place[s.director, s.worker] for s in group]
        boxes = [
            [(s.start_s, y - half), (s.start_s, y + half), (s.end_s, y + half), (s.end_s, y - half)]
            for s, y in zip(group, rows, strict=True)
        ]
        width = 0.0 if raster else 0.6
        bars = PolyCollection(boxes, facecolors=color, edgecolors="white", linewidths=width, zorder=2)
        if raster:
            bars.set_rasterized(True)
            bars.set_antialiased(False)  # rows of a few pixels would get seams and stripes
        else:
            bars.set_hatch(hatch)
        axes.add_collection(bars, autolim=False)
        if marker and group:  # a failure after a millisecond has no bar to see
            size = max(2.2, min(6.0, row_in * 72 * 0.5))
            axes.plot(
                [s.end_s for s in group],
                rows,
                linestyle="",
                marker=marker,
                markersize=size,
                markerfacecolor=color,
                markeredgecolor="white",
                markeredgewidth=0.5 if row_in >= LABEL_IN else 0.2,
                clip_on=False,
                zorder=3,
                rasterized=raster,
            )


def _mark_directors(axes: Axes, directors: list[int], row_in: float) -> None:
    """A band behind every other Director's rows and its name on the right, where there is room for it."""
    last = float("-inf")
    for position, director in enumerate(sorted(set(directors))):
        first, count = directors.index(director), directors.count(director)
        low, high = first - 0.5, first + count - 0.5
        if position % 2 == 0:
            axes.axhspan(low, high, color=BAND, linewidth=0, zorder=0)
        if position:
            axes.axhline(low, color=INK, linewidth=0.8, zorder=2.5)
        middle = (low + high) / 2
        if (middle - last) * row_in >= LABEL_IN:
            axes.annotate(
                f"Director {director}",
                (1, middle),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                color=SOFT,
            )
            last = middle


def busy_workers(overall: Utilization, directors: Sequence[tuple[int, Utilization]], left_in: float) -> str:
    """SVG of the fraction of workers busy over time: all together, and each Director's if they are few."""
    figure, axes = _wide_figure(1.9, left_in)
    curve = bin_means(overall, MAX_STEPS)
    end_s = curve.times_s[-1]
    axes.set(ylim=(0, 104), xlim=(0, end_s), ylabel="Busy workers (%)", xlabel="Time since the run began (s)")
    _finish_x(axes)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(color=FAINT, linewidth=0.7)
    percent = [100 * value for value in curve.busy]
    axes.stairs(percent, curve.times_s, fill=True, color="#cfe3f1", zorder=1, label="_all")
    shown = directors if 1 < len(directors) <= MAX_DIRECTOR_CURVES else ()
    for (index, single), (color, dash) in zip(shown, LINE_STYLES[1:], strict=False):
        thin = bin_means(single, MAX_STEPS)
        axes.step(
            thin.times_s,
            [100 * value for value in (*thin.busy, thin.busy[-1])],
            where="post",
            color=color,
            linestyle=dash,
            linewidth=1.0,
            label=f"Director {index}: mean {100 * single.mean:.0f} %",
            zorder=2,
        )
    axes.stairs(
        percent,
        curve.times_s,
        color=LINE_STYLES[0][0],
        linewidth=1.8,
        baseline=None,
        zorder=3,
        label=f"All workers: mean {100 * overall.mean:.0f} %",
    )
    handles, _ = axes.get_legend_handles_labels()
    _legend(axes, [*handles[-1:], *handles[:-1]])
    text = f"Mean {100 * overall.mean:.1f} % of {overall.workers:,} workers over {end_s:,.0f} s."
    return _inline(figure, "busy", "Fraction of workers busy over time", text)


def panel(key: str, title: str, label: str, lines: Sequence[Line]) -> str:
    """SVG of one quantity over simulated time in ps.

    Args:
        key: Tells this figure's element ids from the others' on the page.
        title: Its name for those who do not see it.
        label: Of the y axis, with the unit.
        lines: What to draw; at least one value is finite.
    """
    figure = Figure(figsize=(5.5, 2.8), facecolor="none")
    axes = figure.add_axes((0.92 / 5.5, 0.52 / 2.8, (5.5 - 1.1) / 5.5, (2.8 - 0.64) / 2.8))
    _plain(axes)
    for line in lines:
        marker = "." if len(line.x) == 1 else ""
        axes.plot(line.x, line.y, line.dash, color=line.color, linewidth=1.2, marker=marker)
    axes.set_xlabel("Simulated time (ps)", fontsize=FONT, color=INK)
    axes.set_ylabel(label, fontsize=FONT, color=INK)
    axes.yaxis.set_label_coords(-0.70 / (5.5 - 1.1), 0.5)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.margins(x=0.01)
    _separate_thousands(axes, "xy")
    low, high = axes.get_ylim()
    text = f"{len(lines):,} simulations, between {low:,.4g} and {high:,.4g}."
    return _inline(figure, key, title, text)


def _wide_figure(height_in: float, left_in: float) -> tuple[Figure, Axes]:
    """A figure of the page's width. Its margins are given, so the time axes of two of them line up."""
    total = height_in + TOP_IN + BOTTOM_IN
    figure = Figure(figsize=(WIDTH_IN, total), facecolor="none")
    width = (WIDTH_IN - left_in - RIGHT_IN) / WIDTH_IN
    axes = figure.add_axes((left_in / WIDTH_IN, BOTTOM_IN / total, width, height_in / total))
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=SMALL, length=0, pad=5)


def _finish_x(axes: Axes) -> None:
    axes.xaxis.label.set(fontsize=FONT, color=INK)
    axes.yaxis.label.set(fontsize=FONT, color=INK)
    _separate_thousands(axes, "x")


def _separate_thousands(axes: Axes, which: str) -> None:
    """Ticks such as 12,500 and −0.25 with as many decimals as the step between them needs, and no offset."""
    for axis in (axes.xaxis if name == "x" else axes.yaxis for name in which):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        ticks = axis.get_majorticklocs()
        step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
        decimals = next((d for d in range(8) if abs(round(step, d) - step) < step * 1e-6), 8)
        axis.set_major_formatter(StrMethodFormatter(f"{{x:,.{decimals}f}}"))


def _legend(axes: Axes, handles: Iterable[object]) -> None:
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


def _label(worker: str) -> str:
    """A worker's name as far as the margin holds it; the end, which tells workers apart, is kept."""
    text = clean(worker, 400).encode("ascii", "replace").decode()  # the built-in font knows no other script
    return text if len(text) <= 24 else f"{text[:8]}…{text[-15:]}"


def _inline(figure: Figure, key: str, title: str, description: str) -> str:
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

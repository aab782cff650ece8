"""The report's timeline: what each worker did when, as SVG that stands inside a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch, Rectangle

from director.report import canvas
from director.report.spans import Interval, Mark, Span
from director.report.summary import natural_key
from director.report.values import duration

ROW_IN, MAX_TIMELINE_IN, LABEL_IN = 0.25, 10.0, 0.12
MAX_VECTOR_BARS = 2_000
MAX_PAUSES = 200
LEAST_SEAM_SHARE = 0.09
PAUSE = "#f3e3a1"

MARK_STYLE: dict[Mark, tuple[str, str, str]] = {
    Mark.OK: ("#2b7fb8", "", ""),
    Mark.INTERRUPTED: ("#8cc5e8", "", ""),
    Mark.LOST: ("#d55e00", "xxxx", "v"),
    Mark.FAILED: ("#a83c00", "////", "X"),
    Mark.TIMEOUT: ("#be8400", "....", "D"),
    Mark.CANCELLED: ("#8a94a0", "\\\\\\\\", "s"),
}
"""Colour (after Okabe and Ito, told apart by the colour-blind), hatch and marker of each mark."""


@dataclass(frozen=True)
class Backdrop:
    """What lies behind the bars, in s on the axis.

    Attributes:
        paused: For each Director that was paused from when to when.
        seams: Where a gap was cut out of the axis, and how long it was.
        label: What to write below the axis.
    """

    paused: Mapping[int, Sequence[Interval]] = field(default_factory=dict)
    seams: Sequence[tuple[float, float]] = ()
    label: str = "Time since the run began (s)"


def timeline(spans: Sequence[Span], end_s: float, left_in: float, backdrop: Backdrop | None = None) -> str:
    """SVG with one row per worker, grouped by Director, and a bar for each attempt from start to end.

    Of an attempt that was interrupted, what no checkpoint had is a bar of its own.
    """
    behind = backdrop or Backdrop()
    rows = sorted({(s.director, s.worker) for s in spans}, key=lambda r: (r[0], natural_key(r[1])))
    row_in = min(ROW_IN, MAX_TIMELINE_IN / len(rows))
    figure, axes = canvas.wide_figure(max(0.8, row_in * len(rows)), left_in)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, end_s or 1.0), xlabel=behind.label)
    canvas.finish_x(axes)
    axes.grid(axis="x", color=canvas.FAINT, linewidth=0.7)
    place = {row: i for i, row in enumerate(rows)}
    _draw_bars(axes, spans, place, row_in)
    directors = [director for director, _ in rows]
    _mark_directors(axes, directors, row_in)
    pauses = _mark_pauses(axes, directors, behind.paused)
    _mark_seams(axes, behind.seams)
    if row_in >= LABEL_IN:
        axes.set_yticks(range(len(rows)), [canvas.label(worker) for _, worker in rows], parse_math=False)
        axes.tick_params(axis="y", labelsize=min(canvas.SMALL, row_in * 72 * 0.8))
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(rows):,} workers", fontsize=canvas.FONT, color=canvas.INK)
    seen = {span.mark for span in spans}
    handles = [
        Patch(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0, label=mark.value)
        for mark, (color, hatch, _) in MARK_STYLE.items()
        if mark in seen
    ]
    if pauses:
        handles.append(Patch(facecolor=PAUSE, edgecolor="none", label="Director paused"))
    canvas.legend(axes, handles)
    counts = ", ".join(f"{sum(s.mark is x for s in spans):,} {x.value}" for x in Mark if x in seen)
    text = f"{len(spans):,} bars on {len(rows):,} workers over {end_s:,.0f} s: {counts}."
    text += f" Directors were paused {pauses:,} times." if pauses else ""
    return canvas.inline(figure, "timeline", "What each worker did when", text)


def _draw_bars(axes: Axes, spans: Sequence[Span], place: dict[tuple[int, str], int], row_in: float) -> None:
    """One collection a mark, not one artist a bar; beyond a bound they become an image inside the SVG."""
    raster = len(spans) > MAX_VECTOR_BARS
    half = 0.5 if raster else 0.38 if row_in >= LABEL_IN else 0.46
    by_mark: dict[Mark, list[Span]] = defaultdict(list)
    for span in spans:
        by_mark[span.mark].append(span)
    for mark, (color, hatch, marker) in MARK_STYLE.items():
        group = by_mark[mark]
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
            axes.axhspan(low, high, color=canvas.BAND, linewidth=0, zorder=0)
        if position:
            axes.axhline(low, color=canvas.INK, linewidth=0.8, zorder=2.5)
        middle = (low + high) / 2
        if (middle - last) * row_in >= LABEL_IN:
            axes.annotate(
                f"Director {director}",
                (1, middle),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=canvas.SMALL,
                color=canvas.SOFT,
            )
            last = middle


def _mark_pauses(axes: Axes, directors: list[int], paused: Mapping[int, Sequence[Interval]]) -> int:
    """A shade on a Director's rows while it was paused; says how many there are."""
    drawn = 0
    for director in sorted(set(directors)):
        first, count = directors.index(director), directors.count(director)
        for start, end in list(paused.get(director, ()))[:MAX_PAUSES]:
            corner, width = (start, first - 0.5), end - start
            axes.add_patch(Rectangle(corner, width, count, facecolor=PAUSE, edgecolor="none", zorder=0.5))
            drawn += 1
    return drawn


def _mark_seams(axes: Axes, seams: Sequence[tuple[float, float]]) -> None:
    """A dashed line where a gap was cut out of the axis, with its length if there is room for it."""
    last, (low, high) = float("-inf"), axes.get_xlim()
    for place, length_s in seams:
        axes.axvline(place, color=canvas.SOFT, linewidth=1.0, linestyle=(0, (3, 2)), zorder=4, clip_on=False)
        if place - last >= LEAST_SEAM_SHARE * (high - low):
            axes.annotate(
                f"{duration(length_s)} later",
                (place, 0),
                xycoords=("data", "axes fraction"),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize=canvas.SMALL - 1,
                color=canvas.SOFT,
                bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
                zorder=5,
            )
            last = place

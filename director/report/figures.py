"""The report's curves and stacked bars, as SVG that stands inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from director.report import canvas
from director.report.summary import Utilization, bin_means
from director.totals import Totals

MAX_STEPS = 1_000
MAX_DIRECTOR_CURVES = 6
MAX_SHARES = 24
BAR_IN = 0.34
LEAST_LABEL = 0.06

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


PARTS = (
    ("kept", "kept_node_hours", "#2b7fb8", "", "white"),
    ("start-up", "startup_node_hours", "#8cc5e8", "....", "#1f2933"),
    ("lost", "lost_node_hours", "#d55e00", "////", "white"),
    ("idle", "idle_node_hours", "#d9dee4", "", "#1f2933"),
)
"""Parts of the time: name, field of `Totals`, colour, hatch, and colour of the text on it."""


@dataclass(frozen=True)
class Line:
    """One line of a panel: x and y, its colour and its dash."""

    x: Sequence[float]
    y: Sequence[float]
    color: str
    dash: str = "-"


def busy_workers(
    overall: Utilization, directors: Sequence[tuple[int, Utilization]], left_in: float, x_label: str
) -> str:
    """SVG of the fraction of workers busy over time: all together, and each Director's if they are few."""
    figure, axes = canvas.wide_figure(1.9, left_in)
    curve = bin_means(overall, MAX_STEPS)
    end_s = curve.times_s[-1]
    axes.set(ylim=(0, 104), xlim=(0, end_s), ylabel="Busy workers (%)", xlabel=x_label)
    canvas.finish_x(axes)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(color=canvas.FAINT, linewidth=0.7)
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
    canvas.legend(axes, [*handles[-1:], *handles[:-1]])
    text = f"Mean {100 * overall.mean:.1f} % of {overall.workers:,} workers over {end_s:,.0f} s."
    return canvas.inline(figure, "busy", "Fraction of workers busy over time", text)


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
    canvas.plain(axes)
    for line in lines:
        marker = "." if len(line.x) == 1 else ""
        axes.plot(line.x, line.y, line.dash, color=line.color, linewidth=1.2, marker=marker)
    axes.set_xlabel("Simulated time (ps)", fontsize=canvas.FONT, color=canvas.INK)
    axes.set_ylabel(label, fontsize=canvas.FONT, color=canvas.INK)
    axes.yaxis.set_label_coords(-0.70 / (5.5 - 1.1), 0.5)
    axes.grid(color=canvas.FAINT, linewidth=0.7)
    axes.margins(x=0.01)
    canvas.separate_thousands(axes, "xy")
    low, high = axes.get_ylim()
    text = f"{len(lines):,} simulations, between {low:,.4g} and {high:,.4g}."
    return canvas.inline(figure, key, title, text)


def shares(rows: Sequence[tuple[str, Totals]]) -> str:
    """SVG of where the time went: for each name a bar of node-hours, the last one being the whole."""
    left_in = canvas.left_margin_in(name for name, _ in rows)
    figure, axes = canvas.wide_figure(max(0.5, BAR_IN * len(rows)), left_in)
    most = max((totals.node_hours for _, totals in rows), default=0.0) or 1.0
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, most), xlabel="Node-hours")
    canvas.finish_x(axes)
    axes.grid(axis="x", color=canvas.FAINT, linewidth=0.7)
    begins = [0.0] * len(rows)
    for _, field, color, hatch, ink in PARTS:
        widths = [float(getattr(totals, field)) for _, totals in rows]
        bars = axes.barh(
            range(len(rows)), widths, left=begins, height=0.66, color=color, edgecolor="white", linewidth=0.6, zorder=2
        )
        for bar, begin, width, (_, totals) in zip(bars, begins, widths, rows, strict=True):
            bar.set_hatch(hatch)
            if width >= LEAST_LABEL * most:
                share = f"{100 * width / totals.node_hours:.0f} %"
                middle = (begin + width / 2, bar.get_y() + bar.get_height() / 2)
                axes.text(*middle, share, ha="center", va="center", fontsize=canvas.SMALL, color=ink, zorder=3)
        begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [canvas.label(name) for name, _ in rows], parse_math=False)
    canvas.legend(
        axes,
        [
            Patch(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0, label=name)
            for name, _, color, hatch, _ in PARTS
        ],
    )
    _, whole = rows[-1]
    parts = ", ".join(f"{name} {getattr(whole, field):,.4g}" for name, field, *_ in PARTS)
    return canvas.inline(figure, "shares", "Where the time went", f"Of {whole.node_hours:,.4g} node-hours: {parts}.")

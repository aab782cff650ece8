"""Plots of a run for agents, as PNG: Outcomes over time, a number of each Outcome, and one simulation over time.

They are drawn through matplotlib's objects alone, as those of the report are: pyplot belongs to the process, not to us.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from director.door import Problem, Refused
from director.report.values import clean, short_id
from simulations.records import Outcome, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from director.report.traces import Trace

DPI = 110
MOST_NAMES = 24
COLORS = {Status.OK: "#0072b2", Status.FAILED: "#d55e00", Status.TIMEOUT: "#8a6a00", Status.CANCELLED: "#52606d"}


def numbers_of(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """All numbers of a result, those within it by dotted names. Pure."""
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[f"{prefix}{name}"] = float(value)
    return found


def chosen(outcomes: Sequence[Outcome], quantity: str | None) -> tuple[str, list[tuple[Outcome, float]]]:
    """Which number is drawn, and its values. Pure.

    Args:
        outcomes: Those that may have it.
        quantity: Its name; None: the energy that most of them have, of several the first one.

    Raises:
        Refused: If none of them has such a number.
    """
    known = [(outcome, numbers_of(outcome.result)) for outcome in outcomes if outcome.result]
    if not known:
        raise Refused([Problem("ids", "none of these Requests has ended ok", "Wait for them with `outcomes`")])
    if quantity is None:
        counts = Counter(name for _, numbers in known for name in numbers if "energy" in name)
        if not counts:
            every = sorted({name for _, numbers in known for name in numbers})
            hint = f"Name another quantity: {', '.join(every) or 'these results have no number'}"
            raise Refused([Problem("quantity", "these results have no energy", hint)])
        quantity = counts.most_common(1)[0][0]
    found = [(outcome, numbers[quantity]) for outcome, numbers in known if quantity in numbers]
    if not found:
        every = sorted({name for _, numbers in known for name in numbers})
        raise Refused([Problem("quantity", f"no result has {quantity!r}", f"They have: {', '.join(every)}")])
    return quantity, found


def name_of(outcome: Outcome) -> str:
    """What an Outcome is called in a plot: its molecule or structure, or else its id. Pure."""
    for field in ("smiles", "molecule", "bulk", "structure"):
        value = outcome.inputs.get(field)
        if isinstance(value, str):
            return clean(value, 28)
    return short_id(outcome.id)


def draw_numbers(quantity: str, found: Sequence[tuple[Outcome, float]]) -> bytes:
    """PNG of one number of each Outcome, as points with names, or without if they are many."""
    from matplotlib.figure import Figure

    from director.report import canvas

    named = len(found) <= MOST_NAMES
    height = 1.3 + 0.28 * len(found) if named else 4.0
    figure = Figure(figsize=(7.5, height), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    canvas.plain(axes)
    values = [value for _, value in found]
    if named:
        places = list(range(len(found)))
        axes.plot(values, places, "o", color=COLORS[Status.OK], markersize=6)
        axes.set_yticks(places, [_plain_text(name_of(outcome)) for outcome, _ in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel(_label(quantity))
        canvas.finish_x(axes)
    else:
        axes.plot(range(1, len(values) + 1), values, "o", color=COLORS[Status.OK], markersize=3.5)
        axes.set_xlabel("Outcome, in the order in which they ended")
        axes.set_ylabel(_label(quantity))
        canvas.finish_x(axes)
        canvas.separate_thousands(axes, "y")
    axes.grid(color=canvas.FAINT, linewidth=0.7, axis="both" if named else "y")
    _title(axes, f"{len(found):,} Outcomes")
    return _png(figure)


def draw_run(outcomes: Sequence[Outcome]) -> bytes:
    """PNG of how many Requests have ended, over time, by status."""
    from matplotlib.figure import Figure

    from director.report import canvas

    figure = Figure(figsize=(7.5, 3.6), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    canvas.plain(axes)
    begin = min(outcome.submitted_at for outcome in outcomes)
    end_s = max((outcome.finished_at - begin).total_seconds() for outcome in outcomes)
    by_status = sorted(outcomes, key=lambda outcome: (outcome.status.value, outcome.finished_at))
    for status, group in groupby(by_status, key=lambda outcome: outcome.status):
        times = [(outcome.finished_at - begin).total_seconds() for outcome in group]
        counts = [0, *range(1, len(times) + 1), len(times)]
        axes.step(
            [0.0, *times, end_s],
            counts,
            where="post",
            color=COLORS[status],
            linewidth=1.8,
            label=f"{status.value}: {len(times):,}",
        )
    axes.set(xlabel="Time since the first one was submitted (s)", ylabel="Requests that have ended")
    axes.set_ylim(bottom=0)
    canvas.finish_x(axes)
    canvas.separate_thousands(axes, "y")
    axes.grid(color=canvas.FAINT, linewidth=0.7)
    axes.legend(loc="upper left", frameon=False, fontsize=canvas.SMALL, labelcolor=canvas.INK)
    _title(axes, f"{len(outcomes):,} Outcomes")
    return _png(figure)


def draw_trace(trace: Trace) -> bytes:
    """PNG of potential energy and temperature of one simulation over simulated time."""
    from matplotlib.figure import Figure

    from director.report import canvas

    wanted = (("potential_energy_kj_mol", "Potential energy (kJ/mol)"), ("temperature_k", "Temperature (K)"))
    there = [
        (name, label) for name, label in wanted if any(math.isfinite(value) for value in trace.columns.get(name, []))
    ]
    if not there:
        raise Refused([Problem("ids", "its state_table has no energy and no temperature", "Draw another one")])
    figure = Figure(figsize=(7.5, 0.6 + 2.3 * len(there)), facecolor="white", layout="constrained")
    panels = figure.subplots(len(there), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, label) in zip(panels, there, strict=True):
        canvas.plain(axes)
        marker = "." if len(trace.time_ps) == 1 else ""
        axes.plot(trace.time_ps, trace.columns[name], color=COLORS[Status.OK], linewidth=1.2, marker=marker)
        axes.set_ylabel(label, fontsize=canvas.FONT, color=canvas.INK)
        axes.grid(color=canvas.FAINT, linewidth=0.7)
        canvas.separate_thousands(axes, "y")
    panels[-1].set_xlabel("Simulated time (ps)")
    canvas.finish_x(panels[-1])
    _title(panels[0], f"{name_of(trace.outcome)}, {short_id(trace.outcome.id)}")
    return _png(figure)


def _label(quantity: str) -> str:
    """A quantity's name with its unit, which stands at its end. Pure."""
    units = {"_kj_mol": "kJ/mol", "_ev": "eV", "_k": "K", "_nm": "nm", "_gpa": "GPa", "_s": "s", "_ps": "ps"}
    name, _, part = quantity.partition(".")
    for ending, unit in units.items():
        if name.endswith(ending):
            words = name.removesuffix(ending).replace("_", " ")
            return f"{words}{f', {part}' if part else ''} ({unit})"
    return quantity


def _plain_text(text: str) -> str:
    """A name of a user's: matplotlib takes a pair of dollar signs for a formula."""
    return text.replace("$", r"\$")


def _title(axes: Axes, text: str) -> None:
    from director.report import canvas

    axes.set_title(_plain_text(text), loc="left", fontsize=canvas.FONT, color=canvas.INK)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()

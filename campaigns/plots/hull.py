"""Phases of two or three elements, and which of them are stable beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from campaigns.plots import style
from campaigns.plots.phases import Phase

Array = NDArray[np.float64]


def hull_plot(phases: Sequence[Phase], elements: Sequence[str], names: Sequence[str] = ()) -> Figure:
    """Formation energies over the composition, with the convex hull of what was evaluated and of the elements.

    Args:
        phases: What was evaluated.
        elements: Two or three.
        names: Policies, in the order of their colours; empty: as they come.

    Raises:
        ValueError: If there are fewer or more elements.
    """
    names = list(names) or list(dict.fromkeys(phase.policy for phase in phases))
    if len(elements) == 2:
        figure, (axes,) = style.panels(1, height_in=3.6)
        _binary(axes, phases, elements, names)
        return figure
    if len(elements) == 3:
        figure, (axes,) = style.panels(1, height_in=4.4)
        _ternary(figure, axes, phases, elements)
        return figure
    raise ValueError(f"phases of {len(elements)} elements cannot be drawn on a plane; 2 or 3 can")


def lower_hull(x: Array, y: Array) -> list[int]:
    """Indices of the points on the lower convex hull, from left to right (A. M. Andrew, 1979).

    Args:
        x: Shape (n,).
        y: Shape (n,).
    """
    chain: list[int] = []
    for index in np.lexsort((y, x)):
        point = int(index)
        if chain and x[chain[-1]] == x[point]:
            continue  # of one composition the lowest comes first
        while len(chain) > 1 and _turns_right(x, y, chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return chain


def _turns_right(x: Array, y: Array, a: int, b: int, c: int) -> bool:
    return bool((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]) <= 0)


def _binary(axes: Axes, phases: Sequence[Phase], elements: Sequence[str], names: Sequence[str]) -> None:
    x = np.array([0.0, 1.0, *(phase.fractions.get(elements[1], 0.0) for phase in phases)])
    y = np.array([0.0, 0.0, *(1e3 * phase.formation_energy_ev_per_atom for phase in phases)])
    chain = lower_hull(x, y)
    axes.plot(x[chain], y[chain], color=style.INK, linewidth=1.3, zorder=2, label="hull")
    for name in names:
        mine = [2 + index for index, phase in enumerate(phases) if phase.policy == name]
        color, _, mark = style.style_of(names, name)
        if mine:
            axes.scatter(
                x[mine], y[mine], s=22, color=color, marker=mark, alpha=0.75, linewidths=0, zorder=3, label=name
            )
    axes.scatter([0, 1], [0, 0], s=26, color=style.INK, zorder=4)
    for index in chain:
        if index > 1:
            axes.annotate(
                phases[index - 2].formula,
                (x[index], y[index]),
                xytext=(0, -13),
                textcoords="offset points",
                ha="center",
                fontsize=style.SMALL,
                color=style.INK,
            )
    # A phase far above the hull would press all others onto the axis.
    high = float(np.quantile(y, 0.9)) if len(y) > 12 else float(y.max())
    low = float(y.min())
    margin = 0.12 * max(high - low, 1.0)
    axes.set_ylim(low - 1.6 * margin, high + margin)
    axes.set_xlim(-0.03, 1.03)
    above = int((y > high + margin).sum())
    style.label(
        axes,
        f"Share of {elements[1]} in {elements[0]}–{elements[1]}",
        "Formation energy (meV/atom)",
        f"{len(phases)} evaluations{f'; {above} lie above the figure' if above else ''}\n",
    )
    style.legend_above(axes)


def _ternary(figure: Figure, axes: Axes, phases: Sequence[Phase], elements: Sequence[str]) -> None:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    shares = np.array([[phase.fractions.get(element, 0.0) for element in elements] for phase in phases]).reshape(-1, 3)
    places = shares @ corners
    energies = 1e3 * np.array([phase.formation_energy_ev_per_atom for phase in phases])
    outline = corners[[0, 1, 2, 0]]
    axes.plot(outline[:, 0], outline[:, 1], color=style.INK, linewidth=1.2, zorder=2)
    for share in (0.25, 0.5, 0.75):
        for first, second, third in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            ends = np.array(
                [
                    share * corners[first] + (1 - share) * corners[second],
                    share * corners[first] + (1 - share) * corners[third],
                ]
            )
            axes.plot(ends[:, 0], ends[:, 1], color=style.FAINT, linewidth=0.7, zorder=1)
    # The lowest is drawn last, so that it is seen.
    order = np.argsort(-energies, kind="stable")
    if len(order):
        limit = float(np.quantile(np.abs(energies), 0.9)) or 1.0
        drawn = axes.scatter(
            places[order, 0],
            places[order, 1],
            c=energies[order],
            cmap="RdYlBu_r",
            vmin=-limit,
            vmax=limit,
            s=46,
            edgecolors=style.INK,
            linewidths=0.5,
            zorder=3,
        )
        bar = figure.colorbar(drawn, ax=axes, shrink=0.75, pad=0.02, extend="both")
        bar.set_label("Formation energy (meV/atom)", fontsize=style.FONT, color=style.INK)
        bar.ax.tick_params(labelsize=style.SMALL, colors=style.SOFT, length=0)
        bar.outline.set_visible(False)
    for corner, element, shift in zip(corners, elements, ((-6, -12), (6, -12), (0, 8)), strict=True):
        axes.annotate(
            element, corner, xytext=shift, textcoords="offset points", ha="center", fontsize=11, color=style.INK
        )
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"{len(phases)} evaluations", fontsize=style.FONT, color=style.INK, loc="left", pad=14)

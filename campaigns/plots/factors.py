"""Bars: how policies compare with the baseline, and the areas under their curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from campaigns.metrics.numbers import Undefined
from campaigns.metrics.summary import PolicySummary, Summary
from campaigns.plots import style

BARS = (
    ("ef", "EF: discoveries beside the baseline's", 1.0),
    ("af", "AF: how much sooner as many discoveries", 1.0),
    ("af_best", "AF: how much sooner as good a best", 1.0),
    ("audc", "AUDC: area under the discovery curve", None),
)
"""Number, label, and the value that the baseline has."""

OF_ONE_CURVE = ("af", "af_best")
"""Read off two mean curves. Those of single episodes rise in steps, so their errors would say nothing of these."""


def factor_bars(summary: Summary, system: str) -> Figure:
    """Factors of the mean curves and areas of the policies on one system; EF and AUDC with errors over episodes.

    A number that is undefined has no bar but a word.
    """
    policies = [one for one in summary.policies if one.system == system]
    figure, panels = style.panels(len(BARS), height_in=max(1.5, 0.45 + 0.36 * len(policies)))
    for axes, (name, label, even) in zip(panels, BARS, strict=True):
        _bars(axes, policies, name)
        if even is not None:
            axes.axvline(even, color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
        style.label(axes, "", "", label)
    return figure


def _bars(axes: Axes, policies: Sequence[PolicySummary], name: str) -> None:
    names = [one.policy for one in policies]
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.grid(axis="y", visible=False)
    highest = 0.0
    for row, one in enumerate(policies):
        spread = one.over_episodes[name]
        value = one.of_means.get(name, spread.mean)
        if isinstance(value, Undefined):
            bound = "" if value.at_most is None else f" (less than {value.at_most:.2g})"
            axes.annotate(
                f"undefined{bound}",
                (0, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.SMALL,
                color=style.SOFT,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                zorder=5,
            )
            continue
        sem = 0.0 if name in OF_ONE_CURVE or isinstance(spread.sem, Undefined) else spread.sem
        color, _, _ = style.style_of(names, one.policy)
        axes.barh(row, value, height=0.6, color=color, zorder=2, xerr=sem or None, ecolor=style.INK, capsize=3)
        highest = max(highest, value + sem)
        axes.annotate(
            f"{value:.2f}",
            (value + sem, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            color=style.INK,
        )
    axes.set_xlim(0, 1.18 * max(highest, 1.0 if name != "audc" else 0.1))
